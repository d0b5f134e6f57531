use proptest::prelude::*;

use super::*;

#[test]
fn an_epoch_is_the_same_for_every_agent_and_another_for_every_vpp_kind_and_index() {
    let epoch = |pid, boot, kind, index| Epochs::new(pid, boot).of(kind, index, &[5]);
    let one = epoch(7, Some(1_700_000_000), Kind::Vip, 3);
    assert_eq!(one, epoch(7, Some(1_700_000_000), Kind::Vip, 3));
    for other in [
        epoch(8, Some(1_700_000_000), Kind::Vip, 3),
        epoch(7, Some(1_700_000_001), Kind::Vip, 3),
        epoch(7, None, Kind::Vip, 3),
        epoch(7, Some(1_700_000_000), Kind::Route, 3),
        epoch(7, Some(1_700_000_000), Kind::Vip, 4),
    ] {
        assert_ne!(one, other);
    }
}

#[test]
fn a_count_that_falls_and_an_index_that_went_begin_a_new_epoch() {
    let mut epochs = Epochs::new(7, Some(1));
    let first = epochs.of(Kind::Vip, 3, &[5, 9]);
    assert_eq!(epochs.of(Kind::Vip, 3, &[5, 10]), first);
    let fell = epochs.of(Kind::Vip, 3, &[6, 0]);
    assert_ne!(fell, first);
    assert_eq!(epochs.of(Kind::Vip, 3, &[7, 7]), fell);
    epochs.keep([Some((Kind::Vip, 3)), None]);
    assert_eq!(epochs.of(Kind::Vip, 3, &[8, 8]), fell);
    epochs.keep([Some((Kind::Route, 3))]);
    epochs.keep([]);
    let back = epochs.of(Kind::Vip, 3, &[9, 9]);
    assert!(back != fell && back != first);
}

/// What happens to the VIP at an index between two reads.
#[derive(Debug, Clone)]
enum Happening {
    Counted(u64),
    Gone,
    MadeAnew(u64),
}

proptest! {
    /// Adding up the counters within each epoch never counts too much, and no visible reset is missed.
    #[test]
    fn epochs_tell_lives_apart(happenings in prop::collection::vec(prop_oneof![
        5 => (0u64..5).prop_map(Happening::Counted),
        1 => Just(Happening::Gone),
        1 => (0u64..9).prop_map(Happening::MadeAnew),
    ], 1..60)) {
        let mut epochs = Epochs::new(1, Some(2));
        let (mut life, mut count, mut there) = (0, 0u64, true);
        let mut seen: Option<(i32, u64, u64)> = None;
        for happening in happenings {
            let mut shows = true;
            match happening {
                Happening::Counted(more) => count += more,
                Happening::Gone => there = false,
                Happening::MadeAnew(already) => {
                    shows = !there || already < count;
                    (life, count, there) = (life + 1, already, true);
                }
            }
            if !there {
                epochs.keep([]);
                continue;
            }
            let epoch = epochs.of(Kind::Vip, 1, &[count]);
            epochs.keep([Some((Kind::Vip, 1))]);
            if let Some((before, epoch_before, count_before)) = seen {
                prop_assert!(epoch != epoch_before || count >= count_before);
                prop_assert!(before == life || !shows || epoch != epoch_before);
                prop_assert!(before != life || count < count_before || epoch == epoch_before || !there);
            }
            seen = Some((life, epoch, count));
        }
    }
}
