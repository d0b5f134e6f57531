use std::time::Duration;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_family_that_the_kernel_lacks_is_not_sent_to_and_the_task_ends() {
    let absent = |family| Err(Absent { family, reason: "not supported".to_owned() });
    let sockets = Sockets { v4: absent("ICMP"), v6: absent("ICMPv6"), tunnel: None };
    let (pinger, task) = Pinger::start(sockets).unwrap();
    task.await.unwrap();
    for (target, family) in [("127.0.0.1", "ICMP"), ("::1", "ICMPv6")] {
        let timeout = Duration::from_secs(1);
        let request = EchoRequest { target: target.parse().unwrap(), source: None, timeout, size: 16 };
        let reason = format!("this machine's kernel lacks {family}: not supported");
        assert_eq!(pinger.echo(request).await, Ok(EchoOutcome::NotSent { reason }));
        let refused = pinger.echo(EchoRequest { size: 15, ..request }).await;
        assert_eq!(refused, Err(EchoError::Size { size: 15 }));
    }
    assert_eq!((pinger.in_flight(), pinger.ignored()), (0, Ignored::default()));
}
