use maglev_protocol::{VipKey, printable};

use super::*;

/// A malicious agent's text: an extra line, colours, reversed text, and megabytes.
fn evil() -> String {
    let words = "9.9\nINFO operator command what=\"\u{1b}[31mdrain\" \u{202e}\u{9b}2J\r";
    words.repeat(10_000)
}

fn is_fit(text: &str, most: usize) -> bool {
    // The ellipsis marks a truncated text.
    let ok = text.chars().count() <= most + 1 && printable_again(text, most) == text;
    ok && !text.contains(['\n', '\r', '\u{1b}', '\u{9b}', '\u{202e}'])
}

#[test]
fn every_text_of_an_answer_is_short_and_printable() {
    let connected = VppState::Connected {
        version: evil(),
        build_date: evil(),
        build_directory: evil(),
        pid: 1,
        boot_time: None,
        connected_for: 0,
    };
    let incompatible =
        VppState::Incompatible { version: evil(), missing: vec![evil(); 100_000 / 100], needs: evil() };
    let away = VppState::Disconnected { reason: evil(), silent_ms: 0 };
    for state in [connected, incompatible, away] {
        let vpp = VppInfo { generation: 1, state };
        let hello = AgentHello { protocol: 6, version: evil(), instance: 1, vpp: vpp.clone() }.cleaned();
        assert!(is_fit(&hello.version, VERSION_LENGTH));
        assert_eq!(vpp.cleaned(), hello.vpp);
        match hello.vpp.state {
            VppState::Connected { version, build_date, build_directory, .. } => {
                assert!(is_fit(&version, VERSION_LENGTH) && is_fit(&build_date, VERSION_LENGTH));
                assert!(is_fit(&build_directory, MOST));
            }
            VppState::Incompatible { version, missing, needs } => {
                assert!(is_fit(&version, VERSION_LENGTH) && is_fit(&needs, MOST));
                assert_eq!(missing.len(), MOST_MISSING);
                assert!(missing.iter().all(|name| is_fit(name, VERSION_LENGTH)));
            }
            VppState::Disconnected { reason, .. } => assert!(is_fit(&reason, MOST)),
        }
    }
    let info = AgentInfo {
        pid: 1,
        started: 1,
        no_echo: Some(evil()),
        policy: maglev_protocol::AgentPolicy::default(),
    }
    .cleaned();
    assert!(is_fit(&info.no_echo.unwrap(), MOST));
    let key = VipKey::port([203, 0, 113, 1].into(), 6, 80);
    let report = SyncReport {
        vips: vec![VipReport {
            key,
            changes: vec![Change::VipAdded, Change::VipRecreated { reason: evil() }],
            table_length: None,
            errors: vec![StepError { step: evil(), code: None, meaning: evil() }],
        }],
        drift: vec![evil()],
        ..SyncReport::default()
    }
    .cleaned();
    let Change::VipRecreated { reason } = &report.vips[0].changes[1] else { panic!("{report:?}") };
    let StepError { step, meaning, .. } = &report.vips[0].errors[0];
    assert!([reason, step, meaning, &report.drift[0]].into_iter().all(|text| is_fit(text, MOST)));
}

#[test]
fn every_error_is_short_and_printable() {
    let target = [10, 0, 0, 1].into();
    for error in [
        AgentError::Protocol { agent: 1, brain: 2, agent_version: evil() },
        AgentError::NoVpp { reason: evil() },
        AgentError::Incompatible { version: evil(), missing: vec![evil(); 1000], needs: evil() },
        AgentError::VppLost { reason: evil() },
        AgentError::Contradiction(evil()),
        AgentError::AnotherWriter { version: evil(), pid: None, seconds: 1 },
        AgentError::NotAllowed { what: evil(), rule: evil() },
        AgentError::TooMany { what: evil(), most: 1 },
        AgentError::NoStats { reason: evil() },
        AgentError::Echo { target, reason: evil() },
        AgentError::Refused { step: evil(), code: -1, meaning: evil() },
    ] {
        let text = error.cleaned().to_string();
        assert!(is_fit(&text, 8 << 10), "{text}");
    }
}

#[test]
fn what_the_agent_cleaned_is_not_cleaned_twice() {
    let shown = printable("v26.10\n\\build", VERSION_LENGTH);
    let hello = AgentHello {
        protocol: 6,
        version: shown.clone(),
        instance: 1,
        vpp: VppInfo { generation: 1, state: VppState::Disconnected { reason: shown.clone(), silent_ms: 0 } },
    };
    assert_eq!(hello.clone().cleaned(), hello);
    assert_eq!(shown, "v26.10\\n\\\\build");
}
