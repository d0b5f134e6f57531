//! Target: bytes that a peer sends to the agent's socket. A real agent without VPP, in a thread of this
//! process, receives them.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, mpsc};
use std::time::Duration;

use bytes::BytesMut;
use maglev_dpagent::counters::SERVERS_AGE;
use maglev_dpagent::policy::{SharedPolicy, parse};
use maglev_dpagent::server::{Gate, Listener, Process, serve};
use maglev_dpagent::vpp;
use maglev_protocol::codec::ClientCodec;
use maglev_protocol::{
    AgentError, AgentRequest, AgentResponse, BrainHello, MAX_FRAME, PROTOCOL_VERSION, VERSION_LENGTH,
};
use tarpc::tokio_serde::{Deserializer, Serializer};
use tarpc::{ClientMessage, Request, Response};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

type Codec = ClientCodec<AgentRequest, AgentResponse>;

const POLICY: &str = "\
vips: [0.0.0.0/0, '::/0']
servers: [0.0.0.0/0, '::/0']
limits: { requests-per-second: 1000000 }
";
/// The agent's thread.
const NAME: &str = "the agent that is fuzzed";
/// Id of the last request.
const LAST: u64 = u64::MAX;
/// Only reached if the agent hangs.
const PATIENCE: Duration = Duration::from_secs(30);

static PANICKED: AtomicBool = AtomicBool::new(false);

/// Where it listens.
fn agent() -> &'static Path {
    static AGENT: OnceLock<PathBuf> = OnceLock::new();
    AGENT.get_or_init(|| {
        // tokio catches panics of tasks, so a hook reports them.
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICKED.fetch_or(std::thread::current().name() == Some(NAME), Ordering::Relaxed);
            hook(panic);
        }));
        let directory = std::env::temp_dir().join(format!("maglev-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("there is no room for a socket");
        let socket = directory.join("agent.sock");
        let (ready, started) = mpsc::channel();
        let run = {
            let socket = socket.clone();
            move || run(&socket, &ready)
        };
        std::thread::Builder::new()
            .name(NAME.to_owned())
            .spawn(run)
            .expect("there is no thread for the agent");
        started.recv().expect("the agent does not start");
        socket
    })
}

fn run(socket: &Path, ready: &mpsc::Sender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("there is no runtime for the agent").block_on(async {
        // A fuzzer's main function is not Rust's, which ignores this signal: peers disconnect before their
        // answers all the time.
        let _caught = signal(SignalKind::pipe()).expect("SIGPIPE cannot be caught");
        let policy = SharedPolicy::new(parse(POLICY, "policy.yaml").expect("the policy is valid"));
        let options = vpp::Options {
            api_socket: socket.with_file_name("api.sock"),
            stats_socket: socket.with_file_name("stats.sock"),
            policy: policy.clone(),
            servers_age: SERVERS_AGE,
        };
        let (vpp, _writer) = vpp::start(options, CancellationToken::new());
        let pinger = Err("there is none here".to_owned());
        let gate = Gate {
            brain_user: nix::unistd::geteuid().as_raw(),
            policy,
            pinger,
            routes: Err("there are none here".to_owned()),
            tunnel: Err("there is none here".to_owned()),
            process: Process::starts(),
        };
        let listener = Listener::bind(socket).await.expect("the agent cannot listen");
        ready.send(()).expect("nobody waits for the agent");
        serve(listener, gate, vpp).await;
    });
}

/// The first bit says whether hello comes first; then come frames, each preceded by its length in two bytes.
/// The rest is the start of another one.
pub fn check(data: &[u8]) {
    let Some((flags, mut rest)) = data.split_first() else { return };
    let greets = flags & 1 != 0;
    let mut sent = Vec::new();
    if greets {
        let version = "fuzz".to_owned();
        let brain = BrainHello { protocol: PROTOCOL_VERSION, version, instance: (flags >> 1).into() };
        frame(&encode(1, AgentRequest::Hello { brain }), &mut sent);
    }
    while let Some((head, tail)) = rest.split_first_chunk() {
        let Some((one, tail)) = tail.split_at_checked(u16::from_be_bytes(*head).into()) else { break };
        frame(one, &mut sent);
        rest = tail;
    }
    let is_whole = rest.is_empty();
    sent.extend_from_slice(rest);
    if is_whole {
        frame(&encode(LAST, AgentRequest::VppInfo {}), &mut sent);
    }
    let mut stream = connect();
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit is taken");
    // The agent may disconnect before everything is written.
    if stream.write_all(&sent).is_ok() && is_whole {
        while let Some(answer) = receive(&mut stream) {
            if answer.request_id == LAST {
                break;
            }
            if let Ok(answer) = answer.message {
                check_answer(answer, greets);
            }
        }
    }
    assert!(!PANICKED.load(Ordering::Relaxed), "the agent panicked");
}

/// Retried, since the fuzzer's own timer interrupts system calls.
fn connect() -> UnixStream {
    loop {
        match UnixStream::connect(agent()) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            connected => return connected.expect("the agent does not listen any more"),
        }
    }
}

/// There is no VPP, so nothing that needs one may succeed.
fn check_answer(answer: AgentResponse, greets: bool) {
    let error = match answer {
        AgentResponse::Hello(Ok(hello)) => {
            assert!(hello.protocol == PROTOCOL_VERSION && hello.version.len() <= VERSION_LENGTH);
            return;
        }
        AgentResponse::VppInfo(_)
        | AgentResponse::WaitChange(_)
        | AgentResponse::WaitLiveness(_)
        | AgentResponse::AgentInfo(Ok(_)) => return,
        AgentResponse::Hello(Err(error))
        | AgentResponse::SyncVip(Err(error))
        | AgentResponse::SyncAll(Err(error))
        | AgentResponse::LbConf(Err(error))
        | AgentResponse::LbState(Err(error))
        | AgentResponse::Counters(Err(error))
        | AgentResponse::IcmpEcho(Err(error))
        | AgentResponse::Programmed(Err(error))
        | AgentResponse::AgentInfo(Err(error)) => error,
        other => panic!("{other:?}"),
    };
    let told = error.to_string();
    assert!(!told.is_empty() && !told.chars().any(char::is_control), "{told:?}");
    let unasked = "the first call on a connection must be hello, and succeed";
    assert!(!greets || told != unasked, "hello was forgotten");
    assert!(!matches!(error, AgentError::Refused { .. } | AgentError::VppLost { .. }), "{error:?}");
}

fn encode(id: u64, message: AgentRequest) -> Vec<u8> {
    let request = ClientMessage::Request(Request { context: tarpc::context::current(), id, message });
    Pin::new(&mut Codec::default()).serialize(&request).expect("a request is encoded").to_vec()
}

fn frame(body: &[u8], sent: &mut Vec<u8>) {
    sent.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    sent.extend_from_slice(body);
}

/// The next answer; none if the agent has hung up.
fn receive(stream: &mut UnixStream) -> Option<Response<AgentResponse>> {
    let mut read = |bytes: &mut [u8]| match stream.read_exact(bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the agent hangs"),
        read => read.ok(),
    };
    let mut length = [0; 4];
    read(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    assert!(length <= MAX_FRAME, "a frame of {length} bytes");
    let mut frame = vec![0; length];
    read(&mut frame)?;
    let answer = Pin::new(&mut Codec::default()).deserialize(&BytesMut::from(&frame[..]));
    Some(answer.expect("an answer is decoded"))
}
