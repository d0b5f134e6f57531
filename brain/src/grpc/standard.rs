//! Standard services: health, and both versions of reflection.

use maglev_proto::FILE_DESCRIPTOR_SET;
use maglev_proto::maglev_server::SERVICE_NAME;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::server::{Builder, Error, v1, v1alpha};

/// Services, sorted by name.
const SERVICES: [&str; 4] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
    SERVICE_NAME,
];

/// Names in the health service: the server as a whole, and this interface.
const NAMES: [&str; 2] = ["", SERVICE_NAME];

/// Whether operators are served, as reported by the standard health service.
#[derive(Debug, Clone, Default)]
pub(super) struct Health {
    reporter: HealthReporter,
}

impl Health {
    /// The health server.
    pub(super) fn server(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    pub(super) async fn set(&self, status: ServingStatus) {
        for name in NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

/// Describes the whole interface to clients, so that they need no .proto file.
pub(super) fn reflection() -> Result<v1::ServerReflectionServer<impl v1::ServerReflection>, Error> {
    builder().build_v1()
}

/// The same under its older name, which most clients still use.
pub(super) fn older_reflection()
-> Result<v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection>, Error> {
    builder().build_v1alpha()
}

fn builder() -> Builder<'static> {
    let described = Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET);
    SERVICES.into_iter().fold(described, Builder::with_service_name)
}
