//! What the members of a fleet say of a proposed configuration, as part of a preview.

use maglev_engine::fleet::records::Name;
use maglev_engine::preview::summary::{FrontendSummary, Summary};
use maglev_proto::{FleetFrontendPreview, FleetMemberPreview, PreviewChangeResponse, Severity};

use crate::fleet::MemberPreview;
use crate::grpc::preview::{grave, vip_change};

/// Adds them. What any member refuses, or loses traffic by, needs as much attention as if it were this one.
pub(super) fn add(answer: &mut PreviewChangeResponse, own: &Name, previews: Vec<MemberPreview>) {
    let reference = previews.iter().find(|preview| preview.name == *own);
    let reference = reference.and_then(|preview| preview.summary.clone().ok());
    answer.members = previews.into_iter().map(|preview| member(preview, reference.as_ref())).collect();
    let worst = answer.members.iter().map(FleetMemberPreview::severity).max().unwrap_or_default();
    answer.severity = answer.severity().max(worst).into();
}

fn member(MemberPreview { name, summary }: MemberPreview, reference: Option<&Summary>) -> FleetMemberPreview {
    let name = name.to_string();
    let summary = match summary {
        Ok(summary) => summary,
        Err(missing) => {
            let severity = Severity::Notice.into();
            return FleetMemberPreview { name, missing, severity, ..FleetMemberPreview::default() };
        }
    };
    let same = reference == Some(&summary);
    let Summary { refused, severity, sentences, frontends, left_out } = summary;
    let severity = if refused.is_some() { Severity::Danger } else { grave(severity) };
    FleetMemberPreview {
        name,
        missing: String::new(),
        refused: refused.unwrap_or_default(),
        same,
        severity: severity.into(),
        sentences,
        frontends: frontends.into_iter().map(frontend).collect(),
        left_out,
    }
}

fn frontend(summary: FrontendSummary) -> FleetFrontendPreview {
    let FrontendSummary { frontend, change, servers, buckets, severity, sentences } = summary;
    FleetFrontendPreview {
        frontend,
        change: vip_change(change).into(),
        servers,
        buckets,
        severity: grave(severity).into(),
        sentences,
    }
}

#[cfg(test)]
mod tests {
    use maglev_engine::preview;
    use maglev_proto::VipChange;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn preview(member: &str, summary: Result<Summary, &str>) -> MemberPreview {
        MemberPreview { name: name(member), summary: summary.map_err(str::to_owned) }
    }

    #[test]
    fn refusal_or_danger_on_any_member_needs_consent() {
        let shop = FrontendSummary {
            frontend: "shop".to_owned(),
            change: preview::VipChange::Added,
            servers: 3,
            buckets: 1024,
            severity: preview::Severity::Notice,
            sentences: vec!["VIP is added".to_owned()],
        };
        let usual =
            Summary { severity: preview::Severity::Notice, frontends: vec![shop], ..Summary::default() };
        let answer = |more: Vec<MemberPreview>| {
            let mut answer = PreviewChangeResponse::default();
            answer.set_severity(Severity::None);
            let all = [vec![preview("lb1", Ok(usual.clone()))], more].concat();
            add(&mut answer, &name("lb1"), all);
            answer
        };
        let all = answer(vec![preview("lb2", Ok(usual.clone())), preview("lb3", Err("is away"))]);
        assert_eq!(all.severity(), Severity::Notice);
        let same: Vec<_> = all.members.iter().map(|member| (member.same, member.missing.as_str())).collect();
        assert_eq!(same, [(true, ""), (true, ""), (false, "is away")]);
        let frontend = &all.members[1].frontends[0];
        assert_eq!((frontend.change(), frontend.servers, frontend.buckets), (VipChange::Added, 3, 1024));

        let refused = answer(vec![preview("lb2", Ok(Summary::refused("no such namespace")))]);
        assert_eq!(refused.severity(), Severity::Danger);
        assert_eq!(
            (refused.members[1].same, refused.members[1].refused.as_str()),
            (false, "no such namespace")
        );
        let danger = Summary { severity: preview::Severity::Danger, ..usual.clone() };
        assert_eq!(answer(vec![preview("lb2", Ok(danger))]).severity(), Severity::Danger);
    }
}
