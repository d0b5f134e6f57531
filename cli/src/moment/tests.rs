use super::*;

#[test]
fn iso_is_utc_to_the_millisecond() {
    assert_eq!(Moment(0).iso(), "1970-01-01T00:00:00.000Z");
    assert_eq!(Moment(951_782_399_999).iso(), "2000-02-28T23:59:59.999Z");
    assert_eq!(Moment(951_782_400_000).iso(), "2000-02-29T00:00:00.000Z");
    assert_eq!(LAST.iso(), "9999-12-31T23:59:59.999Z");
    assert_eq!(Moment(LAST.0 + 1).iso(), "253402300800000 ms after 1970");
}

#[test]
fn ages_have_two_units() {
    let ages = [0, 999, 1000, 59_999, 60_000, 3_599_000, 3_600_000, 86_399_000, 86_400_000, 8_726_400_000];
    let words = ages.map(|age| Moment(1_000_000).age(Moment(1_000_000 + age)));
    assert_eq!(words, ["0s", "0s", "1s", "59s", "1m0s", "59m59s", "1h0m", "23h59m", "1d0h", "101d0h"]);
}

#[test]
fn time_to_come_is_no_time_ago() {
    assert_eq!(Moment(5000).age(Moment(1000)), "0s");
    assert_eq!(Moment(5000).iso_with_age(Moment(1000)), "1970-01-01T00:00:05.000Z (0s ago)");
}

#[test]
fn clock_that_was_never_set_is_taken_as_1970() {
    assert_eq!(Moment::of(UNIX_EPOCH - Duration::from_secs(5)), Moment(0));
    assert_eq!(Moment::of(UNIX_EPOCH + Duration::from_millis(1500)), Moment(1500));
}

#[test]
fn durations_have_three_digits() {
    let durations = [0.0, 0.184, 3.1, 9.99, 12.34, 99.94, 123.4, 1000.0, 61_000.0];
    let words = durations.map(took);
    assert_eq!(
        words,
        ["0.00ms", "0.18ms", "3.10ms", "9.99ms", "12.3ms", "99.9ms", "123ms", "1.00s", "61.00s"]
    );
    assert_eq!([f64::NAN, f64::INFINITY, -1.0].map(took), ["-", "-", "-"]);
}
