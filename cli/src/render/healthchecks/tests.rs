use super::*;
use crate::render::tests::PLAIN;
use crate::samples;

#[test]
fn list_has_every_interval() {
    let expected = "\
Name        Type  Port  Interval   Fast  Down  Timeout  Rise  Fall  Up/Total
http-alive  http  8080        2s  500ms   30s  1s500ms     2     3       1/4
ping        icmp     -        1s     1s    1m    500ms     1     3       0/0
";
    assert_eq!(list(&samples::health_checks(), PLAIN), expected);
    assert_eq!(list(&[], PLAIN), "No health checks are configured.\n");
}

#[test]
fn one_has_all_settings_and_who_uses_it() {
    let expected = "\
Health check  http-alive
Type          http
Port          8080
Interval      2s; 500ms while a backend is unknown or on its way up or down, 30s while it is down
Timeout       1s500ms
Rise, fall    2 passes in a row make a backend up, 3 failures in a row down

Setting        Value
path           /alive
host           -
response-code  200-299

Backend  State
res1     unknown
web1     up
web2     down
web4     disabled
";
    assert_eq!(one(&samples::health_checks()[0], PLAIN), expected);
}

#[test]
fn one_that_nobody_uses_says_so() {
    let expected = "\
Health check  ping
Type          icmp
Interval      1s; 1s while a backend is unknown or on its way up or down, 1m while it is down
Timeout       500ms
Rise, fall    1 passes in a row make a backend up, 3 failures in a row down

No backend uses it.
";
    assert_eq!(one(&samples::health_checks()[1], PLAIN), expected);
}
