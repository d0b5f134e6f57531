//! etcd's services, over one connection to one of its endpoints.

use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use super::LARGEST_ANSWER;
use super::messages::auth_client::AuthClient;
use super::messages::kv_client::KvClient;
use super::messages::lease_client::LeaseClient;
use super::messages::watch_client::WatchClient;
use super::messages::{AuthenticateRequest, AuthenticateResponse};

/// Interval of HTTP/2's signs of life. etcd closes connections that ask more often than every 5 s.
const PINGS: Duration = Duration::from_secs(10);

type Intercepted = InterceptedService<Channel, Headers>;

/// Clones share the connection.
#[derive(Debug, Clone)]
pub(super) struct Client {
    channel: Channel,
    headers: Headers,
}

/// Headers of each call.
#[derive(Debug, Clone)]
pub(super) struct Headers {
    /// Of the user of etcd, if there is one.
    token: Option<MetadataValue<Ascii>>,
}

impl Interceptor for Headers {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        // A node without a leader refuses, instead of serving what may be old.
        request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        Ok(request)
    }
}

impl Client {
    /// Connects to an address such as `https://10.0.0.1:2379`, with a time limit for that and for signs of life.
    pub(super) async fn connect(
        address: &str,
        tls: Option<ClientTlsConfig>,
        limit: Duration,
    ) -> Result<Self, tonic::transport::Error> {
        let mut endpoint = Endpoint::from_shared(address.to_owned())?
            .connect_timeout(limit)
            .http2_keep_alive_interval(PINGS)
            .keep_alive_timeout(limit);
        if let Some(tls) = tls {
            endpoint = endpoint.tls_config(tls)?;
        }
        Ok(Self { channel: endpoint.connect().await?, headers: Headers { token: None } })
    }

    /// Makes all further calls as this user.
    pub(super) async fn log_in(&mut self, name: String, password: String) -> Result<(), Status> {
        let mut auth = AuthClient::new(self.intercepted());
        let answer = auth.authenticate(AuthenticateRequest { name, password }).await?;
        let AuthenticateResponse { token } = answer.into_inner();
        let token = token.parse().map_err(|_| Status::internal("the user's token is not a header"))?;
        self.headers.token = Some(token);
        Ok(())
    }

    fn intercepted(&self) -> Intercepted {
        InterceptedService::new(self.channel.clone(), self.headers.clone())
    }

    pub(super) fn kv(&self) -> KvClient<Intercepted> {
        KvClient::new(self.intercepted()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(super) fn watch(&self) -> WatchClient<Intercepted> {
        WatchClient::new(self.intercepted()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(super) fn lease(&self) -> LeaseClient<Intercepted> {
        LeaseClient::new(self.intercepted())
    }
}
