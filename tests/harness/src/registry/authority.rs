//! The authority that vouches for a registry and for its token service.

use std::fs;
use std::io;
use std::path::Path;

use rcgen::{Certificate, CertificateParams, Issuer, KeyPair};

use crate::certificates;

pub(super) struct Authority {
    ca: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one, and writes its certificate as `ca.crt`.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let params = certificates::authority("harness-registry-ca");
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        fs::write(folder.join("ca.crt"), certificate.pem())?;
        Ok(Self { ca: Issuer::new(params, key) })
    }

    /// Writes `server.crt` and `server.key`, for 127.0.0.1.
    pub(super) fn server(&self, folder: &Path) -> io::Result<()> {
        let (certificate, key) = self.sign(&certificates::loopback_server())?;
        fs::write(folder.join("server.crt"), certificate.pem())?;
        fs::write(folder.join("server.key"), key.serialize_pem())
    }

    /// A certificate with a key of its own.
    pub(super) fn sign(&self, params: &CertificateParams) -> io::Result<(Certificate, KeyPair)> {
        certificates::sign(params, &self.ca)
    }
}
