//! The authority that vouches for a registry and for its token service.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

pub(super) struct Authority {
    ca: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one, and writes its certificate as `ca.crt`.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "harness-registry-ca");
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        fs::write(folder.join("ca.crt"), certificate.pem())?;
        Ok(Self { ca: Issuer::new(params, key) })
    }

    /// Writes `server.crt` and `server.key`, for 127.0.0.1.
    pub(super) fn server(&self, folder: &Path) -> io::Result<()> {
        let mut params = CertificateParams::default();
        params.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let (certificate, key) = self.sign(&params)?;
        fs::write(folder.join("server.crt"), certificate.pem())?;
        fs::write(folder.join("server.key"), key.serialize_pem())
    }

    /// A certificate with a key of its own.
    pub(super) fn sign(&self, params: &CertificateParams) -> io::Result<(Certificate, KeyPair)> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &self.ca).map_err(io::Error::other)?;
        Ok((certificate, key))
    }
}
