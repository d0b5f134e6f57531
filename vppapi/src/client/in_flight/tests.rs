use proptest::prelude::*;

use super::*;

const LIMIT: Duration = Duration::from_secs(5);
const REPLY_ID: u16 = 7;

#[derive(Clone, Debug)]
enum Step {
    Send,
    Answer(prop::sample::Index),
    Stray,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Send),
        3 => any::<prop::sample::Index>().prop_map(Step::Answer),
        1 => Just(Step::Stray),
        3 => (1_u64..3000).prop_map(Step::Wait),
    ]
}

/// A slow reference model of the rules in the module's documentation. Times are in milliseconds since the
/// start.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    context: u32,
    began: u64,
    overtaken: bool,
}

fn outgoing(context: u32) -> Outgoing {
    let (answer, _) = oneshot::channel();
    let head = RequestHead { id: 1, client_index: 0, context };
    let expected = Expected::Reply { id: REPLY_ID };
    Outgoing { message: "request", head, fields: Bytes::new(), expected, retval: None, sink: None, answer }
}

proptest! {
    #[test]
    fn requests_end_by_answer_or_time_as_the_model_says(steps in prop::collection::vec(step(), 1..120)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let start = runtime.block_on(async { Instant::now() });
        let mut in_flight = InFlight::new(LIMIT, 10);
        let (mut model, mut elapsed, mut context) = (Vec::<Waiting>::new(), 0, 0);
        for step in steps {
            let now = start + Duration::from_millis(elapsed);
            match step {
                Step::Send => {
                    context += 1;
                    in_flight.send(outgoing(context), now);
                    model.push(Waiting { context, began: elapsed, overtaken: false });
                }
                Step::Answer(which) if !model.is_empty() => {
                    let at = which.index(model.len());
                    let answered = model.remove(at).context;
                    let (before, behind) = model.split_at_mut(at);
                    before.iter_mut().for_each(|waiting| waiting.overtaken = true);
                    for waiting in behind.iter_mut().filter(|waiting| !waiting.overtaken) {
                        waiting.began = elapsed;
                    }
                    let received = in_flight.receive(REPLY_ID, answered, Bytes::from_static(b"reply"), now);
                    let Received::Finishes(finished) = received else { panic!("{received:?}") };
                    prop_assert_eq!(finished.context, answered);
                    let answer = finished.result.unwrap();
                    prop_assert_eq!(&answer.reply[..], b"reply");
                }
                Step::Answer(_) => {}
                Step::Stray => {
                    let known = in_flight.receive(REPLY_ID + 1, context, Bytes::new(), now);
                    prop_assert!(matches!(known, Received::Unexpected));
                    let unknown = in_flight.receive(REPLY_ID, context + 1, Bytes::new(), now);
                    prop_assert!(matches!(unknown, Received::Unexpected));
                }
                Step::Wait(milliseconds) => {
                    elapsed += milliseconds;
                    let now = start + Duration::from_millis(elapsed);
                    let mut expired = Vec::new();
                    while let Some(finished) = in_flight.expire(now) {
                        prop_assert!(finished.took >= LIMIT);
                        let timeout = matches!(finished.result, Err(ClientError::Timeout { .. }));
                        prop_assert!(timeout);
                        expired.push(finished.context);
                    }
                    let over = |waiting: &Waiting| waiting.began + 5000 <= elapsed;
                    let expected: Vec<u32> =
                        model.iter().filter(|waiting| over(waiting)).map(|waiting| waiting.context).collect();
                    prop_assert_eq!(expired, expected);
                    model.retain(|waiting| !over(waiting));
                }
            }
            prop_assert_eq!(in_flight.len(), model.len());
            let deadline = |waiting: &Waiting| start + Duration::from_millis(waiting.began) + LIMIT;
            let next = model.iter().map(deadline).min();
            prop_assert_eq!(in_flight.next_deadline(), next);
        }
    }
}
