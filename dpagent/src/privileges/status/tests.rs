use super::*;

const CLEAN: &str = "Name:\tmaglev-dpagent\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n\
                     CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n\
                     NoNewPrivs:\t1\nSeccomp:\t0\n";

#[test]
fn a_thread_without_privileges_passes() {
    assert_eq!(Status(CLEAN).excess(true), None);
}

#[test]
fn each_privilege_that_is_left_is_named() {
    for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let text =
            CLEAN.replace(&format!("{field}:\t0000000000000000"), &format!("{field}:\t0000000000002000"));
        assert_eq!(Status(&text).excess(true), Some((field, 0, Some(0x2000))));
        let text = CLEAN.replace(field, "Other");
        assert_eq!(Status(&text).excess(true), Some((field, 0, None)));
    }
    let text = CLEAN.replace("NoNewPrivs:\t1", "NoNewPrivs:\t0");
    assert_eq!(Status(&text).excess(true), Some(("NoNewPrivs", 1, Some(0))));
    let text = CLEAN.replace("CapEff:\t0", "CapEff:\tx");
    assert_eq!(Status(&text).excess(true), Some(("CapEff", 0, None)));
}

#[test]
fn a_bounding_set_that_cannot_be_emptied_passes() {
    let text = CLEAN.replace("CapBnd:\t0000000000000000", "CapBnd:\t0000000000002000");
    assert_eq!(Status(&text).excess(false), None);
}

#[test]
fn a_process_that_has_not_given_up_anything_is_found_out() {
    let error = check_all_threads(false).unwrap_err();
    assert!(matches!(error, StatusError::Left { .. }), "{error}");
    assert!(error.to_string().starts_with("/proc/self/task/"), "{error}");
}
