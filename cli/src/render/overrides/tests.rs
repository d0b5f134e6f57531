use super::*;
use crate::render::tests::PLAIN;
use crate::samples::{self, NOW};

#[test]
fn each_has_what_is_set_and_what_is_configured() {
    let expected = "\
Backend  Frontend  Pool           Set  Configured  Since                       Age  Ends in  Set by                 Reason
web0     -         -         disabled     missing  2026-11-16T04:12:03.250Z   5d0h        -  -                      -
web1     -         -           paused     enabled  2026-11-21T04:11:18.250Z    45s     2h0m  user alice (uid 1000)  RAM swap
web3     shop      primary  weight 50  weight 100  2026-11-21T04:02:03.250Z  10m0s        -  -                      -
";
    assert_eq!(list(&samples::overrides().overrides, Moment(NOW), PLAIN), expected);
}

#[test]
fn nothing_set_is_said() {
    assert_eq!(list(&[], Moment(NOW), PLAIN), "No overrides: everything follows the configuration.\n");
}
