//! Certificates for checked servers, for the brain, and for operators.

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};

/// The first valid year, and the first year that is not valid any more.
pub type Years = std::ops::Range<i32>;

/// Valid for as long as anybody runs these tests.
pub const NOW: Years = 2020..2120;

/// A certificate authority.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A server's certificate with its intermediates, and its key; both PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The server's own certificate first.
    pub chain: String,
    /// PKCS#8.
    pub key: String,
}

impl Authority {
    /// A root.
    pub fn root(name: &str) -> anyhow::Result<Self> {
        Ok(Self(CertifiedIssuer::self_signed(Self::params(name), KeyPair::generate()?)?))
    }

    /// An authority below this one.
    pub fn below(&self, name: &str) -> anyhow::Result<Self> {
        Ok(Self(CertifiedIssuer::signed_by(Self::params(name), KeyPair::generate()?, &self.0)?))
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    /// Its own certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server with these names or addresses.
    pub fn issue(&self, names: &[&str], years: Years) -> anyhow::Result<Identity> {
        let key = KeyPair::generate()?;
        let certificate = server(names, years)?.signed_by(&key, &self.0)?;
        Ok(Identity { chain: certificate.pem(), key: key.serialize_pem() })
    }

    /// An operator of this name.
    pub fn issue_client(&self, name: &str, years: Years) -> anyhow::Result<Identity> {
        let key = KeyPair::generate()?;
        let mut params = server(&[], years)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(Identity { chain: certificate.pem(), key: key.serialize_pem() })
    }
}

impl Identity {
    /// A server that no authority knows.
    pub fn self_signed(names: &[&str]) -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let certificate = server(names, NOW)?.self_signed(&key)?;
        Ok(Self { chain: certificate.pem(), key: key.serialize_pem() })
    }

    /// The same server, which sends the certificate of this authority too.
    pub fn with(mut self, authority: &Authority) -> Self {
        self.chain.push_str(&authority.pem());
        self
    }
}

/// Valid from 2 January of the first year until 2 January of the last.
fn server(names: &[&str], years: Years) -> anyhow::Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).context("no names of a server")?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date_time_ymd(years.start, 1, 2);
    params.not_after = date_time_ymd(years.end, 1, 2);
    Ok(params)
}
