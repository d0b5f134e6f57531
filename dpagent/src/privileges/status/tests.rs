use super::*;

const CLEAN: &str = "Name:\tmaglev-dpagent\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n\
                     CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n\
                     NoNewPrivs:\t1\nSeccomp:\t0\n";

#[test]
fn a_thread_without_privileges_passes() {
    assert_eq!(Status(CLEAN).excess(true, 0), None);
}

#[test]
fn each_privilege_that_is_left_is_named() {
    for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let text =
            CLEAN.replace(&format!("{field}:\t0000000000000000"), &format!("{field}:\t0000000000002000"));
        assert_eq!(Status(&text).excess(true, 0), Some((field, 0, Some(0x2000))));
        let text = CLEAN.replace(field, "Other");
        assert_eq!(Status(&text).excess(true, 0), Some((field, 0, None)));
    }
    let text = CLEAN.replace("NoNewPrivs:\t1", "NoNewPrivs:\t0");
    assert_eq!(Status(&text).excess(true, 0), Some(("NoNewPrivs", 1, Some(0))));
    let text = CLEAN.replace("CapEff:\t0", "CapEff:\tx");
    assert_eq!(Status(&text).excess(true, 0), Some(("CapEff", 0, None)));
}

#[test]
fn what_is_kept_is_neither_more_nor_less() {
    let text = CLEAN.replace("CapPrm:\t0000000000000000", "CapPrm:\t0000000000001000");
    assert_eq!(Status(&text).excess(true, 0x1000), Some(("CapEff", 0x1000, Some(0))));
    let text = text.replace("CapEff:\t0000000000000000", "CapEff:\t0000000000001000");
    assert_eq!(Status(&text).excess(true, 0x1000), None);
}

#[test]
fn a_bounding_set_that_cannot_be_emptied_passes() {
    let text = CLEAN.replace("CapBnd:\t0000000000000000", "CapBnd:\t0000000000002000");
    assert_eq!(Status(&text).excess(false, 0), None);
}

#[test]
fn a_process_that_has_not_given_up_anything_is_found_out() {
    let error = check_all_threads(false, &CapsHashSet::new()).unwrap_err();
    assert!(matches!(error, StatusError::Left { .. }), "{error}");
    assert!(error.to_string().starts_with("/proc/self/task/"), "{error}");
}
