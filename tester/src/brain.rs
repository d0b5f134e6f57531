//! What a brain says of its VIPs: which there are, the buckets of their servers, and their tables.
//!
//! Task: [`follow`], until it is aborted, at any point.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use maglev_daemon::retry::backoff;
use maglev_proto::client::{ServerAddress, SetupError, TlsFiles, connect, endpoint, innermost};
use maglev_proto::maglev_client::MaglevClient;
use maglev_proto::{
    Frontend, GetVpplbStateRequest, ListBackendsRequest, ListFrontendsRequest, ListHealthChecksRequest,
    VpplbState,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::run::Tester;
use crate::servers::{Expected, Portion};
use crate::sweep::Table;
use crate::target::{self, Target};

/// Time between two looks at the buckets. The brain reads VPP at most once a second for all who ask.
const PERIOD: Duration = Duration::from_secs(2);
/// For a connection, and for each answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer taken, in bytes.
const MAX_ANSWER: usize = 256 << 20;

/// Why a brain says nothing.
#[derive(Debug, thiserror::Error)]
pub enum BrainError {
    /// The files of TLS cannot be used.
    #[error("cannot connect to {0}: {1}")]
    Setup(ServerAddress, SetupError),
    /// No connection.
    #[error("cannot connect to {0}: {1}")]
    Connect(ServerAddress, String),
    /// No connection, or no answer, within 5 s.
    #[error("no answer from {0} within {seconds} s", seconds = PATIENCE.as_secs())]
    Silent(ServerAddress),
    /// The brain's own words, or those of the connection.
    #[error("{0} answers: {1}")]
    Refused(ServerAddress, String),
}

/// A connection to a brain.
#[derive(Debug)]
pub struct Brain {
    stub: MaglevClient<Channel>,
    address: ServerAddress,
}

impl Brain {
    /// Connects.
    ///
    /// # Errors
    /// If nobody answers there within 5 s, or the files of TLS cannot be used.
    pub async fn connect(address: &ServerAddress, tls: &TlsFiles) -> Result<Self, BrainError> {
        let endpoint =
            endpoint(address, tls, PATIENCE).map_err(|error| BrainError::Setup(address.clone(), error))?;
        let channel = timeout(PATIENCE, connect(endpoint, address))
            .await
            .map_err(|_| BrainError::Silent(address.clone()))?
            .map_err(|error| BrainError::Connect(address.clone(), innermost(&error)))?;
        let stub = MaglevClient::new(channel).max_decoding_message_size(MAX_ANSWER);
        Ok(Self { stub, address: address.clone() })
    }

    /// The VIPs that can be tested, and for each other one why it cannot.
    ///
    /// # Errors
    /// If the brain does not answer.
    pub async fn targets(&mut self) -> Result<(Vec<Target>, Vec<String>), BrainError> {
        let mut stub = self.stub.clone();
        let frontends = self.frontends().await?;
        let backends = self.answer(stub.list_backends(ListBackendsRequest {})).await?;
        let checks = self.answer(stub.list_health_checks(ListHealthChecksRequest {})).await?;
        Ok(target::from_brain(&frontends, &backends.backends, &checks.healthchecks))
    }

    /// The buckets of every VIP's servers.
    ///
    /// # Errors
    /// If the brain does not answer.
    pub async fn buckets(&mut self) -> Result<Buckets, BrainError> {
        Ok(Buckets::of(&self.frontends().await?))
    }

    /// The tables of VPP's VIPs.
    ///
    /// # Errors
    /// If the brain does not answer, or has no VPP.
    pub async fn tables(&mut self) -> Result<Vec<Table>, BrainError> {
        let mut stub = self.stub.clone();
        let state = self.answer(stub.get_vpplb_state(GetVpplbStateRequest {})).await?;
        Ok(tables(&state))
    }

    async fn frontends(&mut self) -> Result<Vec<Frontend>, BrainError> {
        let mut stub = self.stub.clone();
        Ok(self.answer(stub.list_frontends(ListFrontendsRequest {})).await?.frontends)
    }

    async fn answer<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, BrainError> {
        match timeout(PATIENCE, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => {
                let words =
                    std::error::Error::source(&status).map_or_else(|| status.message().to_owned(), innermost);
                let words = maglev_proto::client::printable(&words);
                Err(BrainError::Refused(self.address.clone(), words))
            }
            Err(_) => Err(BrainError::Silent(self.address.clone())),
        }
    }
}

/// The buckets of VIPs' servers, by where the VIP is and whether it is a UDP service. Pure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Buckets(BTreeMap<(SocketAddr, bool), Expected>);

impl Buckets {
    fn of(frontends: &[Frontend]) -> Self {
        let known = frontends.iter().filter(|frontend| !frontend.src_ip_sticky).filter_map(|frontend| {
            let key = (target::vip(frontend)?, frontend.protocol == "udp");
            Some((key, expected(frontend)?))
        });
        Self(known.collect())
    }

    /// Those of one VIP, if they are known.
    pub fn get(&self, vip: SocketAddr, is_udp: bool) -> Option<Expected> {
        self.0.get(&(vip, is_udp)).cloned()
    }
}

/// Known only if every server's buckets are, and any has some. A server in several pools has the same in each.
fn expected(frontend: &Frontend) -> Option<Expected> {
    let members = frontend.pools.iter().flat_map(|pool| &pool.backends);
    let portions = members.map(|member| {
        let portion = Portion { address: member.address.clone(), buckets: member.buckets? };
        Some((member.backend.clone(), portion))
    });
    let expected: Expected = portions.collect::<Option<_>>()?;
    expected.values().any(|portion| portion.buckets > 0).then_some(expected)
}

/// VIPs with a port, with the tables that VPP lays out for them.
fn tables(state: &VpplbState) -> Vec<Table> {
    let table = |vip: &maglev_proto::Vppvip| {
        let address: IpAddr = vip.prefix.split('/').next()?.parse().ok()?;
        let port = u16::try_from(vip.port).ok().filter(|port| *port != 0)?;
        let servers = vip.application_servers.iter().map(|server| {
            let name = if server.backend.is_empty() { &server.address } else { &server.backend };
            Some((name.clone(), server.address.parse().ok()?, u8::try_from(server.weight).ok()?))
        });
        let servers: Vec<_> = servers.collect::<Option<_>>()?;
        let vip_address = SocketAddr::new(address, port);
        Table::new(
            vip_address,
            vip.protocol == "udp",
            vip.src_ip_sticky,
            vip.new_flows_table_length,
            &servers,
        )
    };
    state.vips.iter().filter_map(table).collect()
}

/// Whether the brain answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// No brain was named.
    None,
    /// It answers.
    Connected,
    /// It does not, for this reason; what it said last still counts.
    Lost(String),
}

/// Follows the buckets for ever. While the brain does not answer, those that it told last stay.
pub async fn follow(address: ServerAddress, tls: TlsFiles, tester: Arc<Tester>, link: watch::Sender<Link>) {
    let mut failures = 0;
    loop {
        let error = match Brain::connect(&address, &tls).await {
            Ok(mut brain) => loop {
                match brain.buckets().await {
                    Ok(buckets) => {
                        failures = 0;
                        link.send_replace(Link::Connected);
                        let now = Instant::now().into_std();
                        tester.expect(|vip, is_udp| buckets.get(vip, is_udp), now);
                    }
                    Err(error) => break error,
                }
                sleep(PERIOD).await;
            },
            Err(error) => error,
        };
        link.send_replace(Link::Lost(error.to_string()));
        failures += 1;
        sleep(backoff(failures)).await;
    }
}

#[cfg(test)]
mod tests;
