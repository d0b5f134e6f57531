//! Health and reflection, as a stock client uses them.

use futures::StreamExt;
use prost::Message;
use prost_types::FileDescriptorProto;
use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use super::changes::{Brain, CONFIG};
use super::*;

/// A brain that listens on a unix socket until it is told to stop.
pub(super) struct Served {
    pub(super) brain: Brain,
    pub(super) channel: Channel,
    pub(super) stop: oneshot::Sender<()>,
    pub(super) server: tokio::task::JoinHandle<Result<(), ListenError>>,
}

pub(super) async fn served() -> Served {
    let brain = Brain::start(CONFIG);
    let socket = brain.directory.path().join("brain.sock");
    let listener = Listener::bind(ListenAddress::Unix(socket.clone())).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let settings = AccessSettings { admin_group: None, reader_group: None, loopback: Loopback::ReadOnly };
    let gate = Gate::new(Access::new(settings).unwrap());
    let server = tokio::spawn(serve(listener, brain.service.clone(), gate, async { drop(stopped.await) }));
    let channel = Endpoint::try_from(format!("unix:{}", socket.display())).unwrap().connect().await.unwrap();
    Served { brain, channel, stop, server }
}

#[tokio::test]
async fn health_is_told_until_the_end() {
    let Served { brain: _brain, channel, stop, server } = served().await;
    let mut client = HealthClient::new(channel);
    for service in ["", "maglev.Maglev"] {
        let answer = client.check(HealthCheckRequest { service: service.into() }).await.unwrap();
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving, "{service:?}");
    }
    let nobody = client.check(HealthCheckRequest { service: "maglev.Nobody".into() }).await.unwrap_err();
    assert_eq!(nobody.code(), tonic::Code::NotFound);
    let watched = client.watch(HealthCheckRequest { service: "maglev.Maglev".into() }).await.unwrap();
    let mut watched = watched.into_inner().map(|answer| answer.unwrap().status());
    assert_eq!(watched.next().await, Some(ServingStatus::Serving));
    stop.send(()).unwrap();
    assert_eq!(watched.next().await, Some(ServingStatus::NotServing));
    drop((watched, client));
    server.await.unwrap().unwrap();
}

#[tokio::test]
async fn health_tells_that_the_controller_is_gone() {
    let served = served().await;
    let mut client = HealthClient::new(served.channel.clone());
    let watched = client.watch(HealthCheckRequest { service: String::new() }).await.unwrap();
    let mut watched = watched.into_inner().map(|answer| answer.unwrap().status());
    assert_eq!(watched.next().await, Some(ServingStatus::Serving));
    served.brain.running.abort();
    assert_eq!(watched.next().await, Some(ServingStatus::NotServing));
}

macro_rules! describes_itself {
    ($test:ident, $version:ident) => {
        #[tokio::test]
        async fn $test() {
            use $version::server_reflection_client::ServerReflectionClient;
            use $version::server_reflection_request::MessageRequest;
            use $version::server_reflection_response::MessageResponse;
            let served = served().await;
            let mut client = ServerReflectionClient::new(served.channel.clone());
            let ask = |question| $version::ServerReflectionRequest {
                host: String::new(),
                message_request: Some(question),
            };
            let questions = [
                ask(MessageRequest::ListServices(String::new())),
                ask(MessageRequest::FileContainingSymbol("maglev.Maglev.WatchEvents".into())),
                ask(MessageRequest::FileContainingSymbol("maglev.Nothing".into())),
            ];
            let answers = client.server_reflection_info(futures::stream::iter(questions)).await.unwrap();
            let answers: Vec<_> = answers.into_inner().collect().await;
            let [Ok(services), Ok(file), Err(unknown)] = answers.as_slice() else { panic!("{answers:?}") };
            let (services, file) = (services.message_response.as_ref(), file.message_response.as_ref());
            let Some(MessageResponse::ListServicesResponse(services)) = services else {
                panic!("{services:?}")
            };
            let services: Vec<_> = services.service.iter().map(|service| service.name.as_str()).collect();
            let expected = [
                "grpc.health.v1.Health",
                "grpc.reflection.v1.ServerReflection",
                "grpc.reflection.v1alpha.ServerReflection",
                "maglev.Maglev",
            ];
            assert_eq!(services, expected);
            let Some(MessageResponse::FileDescriptorResponse(file)) = file else { panic!("{file:?}") };
            let [file] = file.file_descriptor_proto.as_slice() else { panic!("{file:?}") };
            let file = FileDescriptorProto::decode(file.as_slice()).unwrap();
            let messages = file.message_type.iter().map(|message| message.name());
            assert_eq!((file.package(), file.service[0].name()), ("maglev", "Maglev"));
            assert!(messages.into_iter().any(|name| name == "WatchEventsRequest"));
            assert_eq!(unknown.code(), tonic::Code::NotFound);
        }
    };
}

describes_itself!(interface_is_described, v1);
describes_itself!(interface_is_described_by_the_older_name, v1alpha);
