use super::*;

fn named(pages: &[(String, Vec<u8>)], name: &str) -> String {
    let (_, text) = pages.iter().find(|(known, _)| known == name).unwrap();
    String::from_utf8(text.clone()).unwrap()
}

#[test]
fn every_visible_word_has_a_page() {
    let pages = pages().unwrap();
    let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
    for name in [
        "maglevc.1",
        "maglevc-show.1",
        "maglevc-show-frontends.1",
        "maglevc-show-vpp-lb-state.1",
        "maglevc-man.1",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("help") || name.contains("complete")), "{names:?}");
}

#[test]
fn main_page_has_exit_codes_environment_and_examples() {
    let page = named(&pages().unwrap(), "maglevc.1");
    for part in [
        ".SH ENVIRONMENT\n.TP\n\\fBMAGLEV_SERVER\\fR",
        ".SH EXAMPLES\n.nf\nmaglevc show status",
        ".fi\n.PP\nWords may be shortened",
        ".SH \"EXIT CODES\"\n0 done;",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
}

#[test]
fn synopsis_has_the_words_between_the_names() {
    let page = named(&pages().unwrap(), "maglevc-set-frontend.1");
    let synopsis = ".SH SYNOPSIS\n\
        maglevc set frontend <FRONTEND> pool <POOL> backend <BACKEND> weight <WEIGHT> [flush] \
        [reason <TEXT>] [for <TIME> | until <TIME>]\n";
    assert!(page.contains(synopsis), "{page}");
    assert!(page.contains(".SH \"SEE ALSO\"\n.BR maglevc (1)\n"), "{page}");
}

/// The words themselves are tested with the real program.
#[test]
fn scripts_ask_for_words_and_names() {
    for (shell, head) in [
        (ScriptFor::Bash, "_maglevc() {"),
        (ScriptFor::Zsh, "#compdef maglevc"),
        (ScriptFor::Fish, "complete -c maglevc"),
    ] {
        let script = completions(shell);
        assert!(script.starts_with(head) && script.contains("maglevc complete -- "), "{shell:?}: {script}");
    }
}

#[test]
fn directory_that_is_missing_is_named() {
    let error = manual(Path::new("/nowhere/man")).unwrap_err();
    assert!(error.to_string().starts_with("cannot write the answer: /nowhere/man/maglevc"), "{error}");
}
