use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;

use tokio::time::{advance, pause, resume};

use super::*;

fn names() -> GroupNames {
    GroupNames { admins: "no-such-group".into(), readers: "root".into() }
}

#[test]
fn machine_knows_root() {
    let root = look_up(0, &names()).unwrap();
    assert_eq!((root.user.as_deref(), root.admin_group, root.reader_group), (Some("root"), None, Some(0)));
    assert!(root.groups.contains(&0), "{root:?}");
    let nobody = look_up(4_000_000_000, &names()).unwrap();
    assert_eq!((nobody.user, nobody.groups), (None, vec![]));
}

#[tokio::test]
async fn answers_are_kept_for_a_while() {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let users = UserDatabase::new(names(), move |uid, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        if uid == 7 { Err(Errno::EIO) } else { Ok(Known { groups: vec![uid], ..Known::default() }) }
    });
    for _ in 0..3 {
        assert_eq!(users.known(5).await.unwrap().groups, [5]);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    pause();
    advance(HOLDS).await;
    resume();
    users.known(5).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    for _ in 0..2 {
        let error = users.known(7).await.unwrap_err();
        assert!(error.starts_with("since the user database does not answer: EIO"), "{error}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 4, "failures are not kept");
    for uid in 100..100 + 2 * u32::try_from(MOST_KEPT).unwrap() {
        users.known(uid).await.unwrap();
    }
    assert!(users.kept().len() <= MOST_KEPT);
}

#[tokio::test]
async fn nobody_waits_for_ever() {
    let (release, held) = channel::<()>();
    let held = Mutex::new(held);
    let users = UserDatabase::new(names(), move |_, _| {
        // Blocks until the test drops the other end.
        held.lock().unwrap().recv().ok();
        Ok(Known::default())
    });
    pause();
    let known = users.known(5);
    tokio::pin!(known);
    assert!(futures::poll!(&mut known).is_pending());
    // Timers have a resolution of a millisecond.
    advance(ANSWERS + Duration::from_millis(1)).await;
    let error = known.await.unwrap_err();
    assert_eq!(error, "since asking the user database has not ended within 3 s");
    drop(release);
}
