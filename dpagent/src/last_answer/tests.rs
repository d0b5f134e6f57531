use std::time::Duration;

use tokio::time::advance;
use vppapi::retval::Retval;

use super::*;

fn timed_out() -> ClientError {
    ClientError::Timeout { message: "control_ping", after: Duration::from_secs(2), sent: true }
}

fn refused() -> ClientError {
    ClientError::Refused { message: "lb_conf", retval: Retval(-1) }
}

#[tokio::test(start_paused = true)]
async fn only_what_vpp_said_is_a_sign_of_life() {
    let last_answer = LastAnswer::now();
    advance(Duration::from_secs(3)).await;
    assert!(last_answer.note(Err::<(), _>(timed_out())).is_err());
    assert_eq!(last_answer.silence(), Duration::from_secs(3));
    assert!(last_answer.note(Err::<(), _>(refused())).is_err());
    assert_eq!(last_answer.silence(), Duration::ZERO);
    advance(Duration::from_secs(1)).await;
    assert_eq!(last_answer.note(Ok(7)).ok(), Some(7));
    assert_eq!(last_answer.silence(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_burst_that_broke_off_is_no_sign_of_life_at_its_end() {
    let last_answer = LastAnswer::now();
    advance(Duration::from_secs(6)).await;
    last_answer.note_all(&[Ok(()), Err(refused()), Err(timed_out())]);
    assert_eq!(last_answer.silence(), Duration::from_secs(6));
    last_answer.note_all::<()>(&[]);
    assert_eq!(last_answer.silence(), Duration::from_secs(6));
    last_answer.note_all(&[Ok(()), Err(refused())]);
    assert_eq!(last_answer.silence(), Duration::ZERO);
}
