//! Digests and signatures for object_store, by the OpenSSL that the program links anyway.

use object_store::Result;
use object_store::client::{CryptoProvider, DigestAlgorithm, DigestContext, HmacContext, Signer, SigningAlgorithm};
use openssl::error::ErrorStack;
use openssl::hash::{DigestBytes, Hasher, MessageDigest};
use openssl::pkey::{PKey, Private};

fn failed(error: ErrorStack) -> object_store::Error {
    object_store::Error::Generic { store: "OpenSSL", source: Box::new(error) }
}

fn message_digest(algorithm: DigestAlgorithm) -> Result<MessageDigest> {
    match algorithm {
        DigestAlgorithm::Sha256 => Ok(MessageDigest::sha256()),
        other => Err(object_store::Error::NotSupported { source: format!("digest {other:?}").into() }),
    }
}

#[derive(Debug)]
pub struct OpenSsl;

impl CryptoProvider for OpenSsl {
    fn digest(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestContext>> {
        let hasher = Hasher::new(message_digest(algorithm)?).map_err(failed)?;
        Ok(Box::new(Digest { hasher, error: None, done: None }))
    }
    fn hmac(&self, algorithm: DigestAlgorithm, secret: &[u8]) -> Result<Box<dyn HmacContext>> {
        let digest = message_digest(algorithm)?;
        Ok(Box::new(Hmac { key: PKey::hmac(secret).map_err(failed)?, digest, data: Vec::new(), done: Vec::new() }))
    }
    fn sign(&self, algorithm: SigningAlgorithm, pem: &[u8]) -> Result<Box<dyn Signer>> {
        match algorithm {
            SigningAlgorithm::RS256 => Ok(Box::new(Rsa(PKey::private_key_from_pem(pem).map_err(failed)?))),
            other => Err(object_store::Error::NotSupported { source: format!("signature {other:?}").into() }),
        }
    }
}

struct Digest {
    hasher: Hasher,
    error: Option<ErrorStack>,
    done: Option<DigestBytes>,
}

impl DigestContext for Digest {
    fn update(&mut self, data: &[u8]) {
        if let Err(error) = self.hasher.update(data) {
            self.error.get_or_insert(error);
        }
    }
    fn finish(&mut self) -> Result<&[u8]> {
        if let Some(error) = self.error.take() {
            return Err(failed(error));
        }
        let digest = self.hasher.finish().map_err(failed)?;
        Ok(self.done.insert(digest))
    }
}

// What is signed so are a few short lines: they are kept until the end.
struct Hmac {
    key: PKey<Private>,
    digest: MessageDigest,
    data: Vec<u8>,
    done: Vec<u8>,
}

impl HmacContext for Hmac {
    fn update(&mut self, data: &[u8]) {
        self.data.extend_from_slice(data);
    }
    fn finish(&mut self) -> Result<&[u8]> {
        let mut signer = openssl::sign::Signer::new(self.digest, &self.key).map_err(failed)?;
        self.done = signer.sign_oneshot_to_vec(&self.data).map_err(failed)?;
        Ok(&self.done)
    }
}

struct Rsa(PKey<Private>);

impl Signer for Rsa {
    fn sign(&self, string_to_sign: &[u8]) -> Result<Vec<u8>> {
        let mut signer = openssl::sign::Signer::new(MessageDigest::sha256(), &self.0).map_err(failed)?;
        signer.sign_oneshot_to_vec(string_to_sign).map_err(failed)
    }
}
