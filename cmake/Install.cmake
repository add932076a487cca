# What `cmake --install` lays out: bin/sightline, presets, documents, licence. tools/package adds the shared libraries.
install(DIRECTORY "${CMAKE_SOURCE_DIR}/presets" DESTINATION ${CMAKE_INSTALL_DATADIR}/sightline OPTIONAL)
install(FILES LICENSE README.md CHANGELOG.md ARCHITECTURE.md DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL)
install(DIRECTORY "${CMAKE_SOURCE_DIR}/docs/" DESTINATION ${CMAKE_INSTALL_DOCDIR} OPTIONAL PATTERN adr EXCLUDE)
