#pragma once

#include <memory>
#include <string>

#include "bridge/objects.h"

// Hadoop's distributed file system, by its own protocol.
namespace sightline::hdfs {

struct Options {
  std::string url = {};          // "hdfs://namenode:8020/base", or the name of a service in the configuration files
  std::string user = {};         // empty: HADOOP_USER_NAME, or the system's user
  std::string config_dir = {};   // of core-site.xml and hdfs-site.xml; empty: HADOOP_CONF_DIR
  std::string principal = {};    // of Kerberos; empty: the credential cache, where the configuration asks for Kerberos
  std::string keytab = {};       // path
  bridge::Patience patience = {};
};

// kInvalidArgument for options that cannot be; talks to nobody.
Result<std::unique_ptr<bridge::ObjectStore>> Open(const Options& options);

}  // namespace sightline::hdfs
