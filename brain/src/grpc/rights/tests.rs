use std::collections::BTreeSet;

use maglev_proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::Code;

use super::super::caller::Who;
use super::*;

fn asked(method: &str, rights: Option<Rights>) -> Result<Request<()>, Status> {
    let mut request = Request::builder().uri(method).body(()).unwrap();
    if let Some(rights) = rights {
        request.extensions_mut().insert(Caller::new(Who::Loopback(([127, 0, 0, 1], 4711).into()), rights));
    }
    admit(request, &Paced::default())
}

#[test]
fn every_method_that_is_described_has_its_right() {
    let described = [
        FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut methods = BTreeSet::new();
    for set in described {
        for file in FileDescriptorSet::decode(set).unwrap().file {
            for service in &file.service {
                let paths = service
                    .method
                    .iter()
                    .map(|method| format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                methods.extend(paths);
            }
        }
    }
    let listed: BTreeSet<_> = METHODS.iter().map(|(method, _)| (*method).to_owned()).collect();
    assert_eq!(listed.len(), METHODS.len());
    assert_eq!(methods, listed, "the right that a method takes is to be decided for each");
}

#[test]
fn every_method_takes_its_right() {
    for (method, right) in METHODS {
        assert!(asked(method, Some(Rights::Admin)).is_ok(), "{method}");
        let reader = asked(method, Some(Rights::ReadOnly("ask root".to_owned())));
        match right {
            Right::Read => assert!(reader.is_ok(), "{method}"),
            Right::Change | Right::Probe => {
                let status = reader.unwrap_err();
                let what = if right == Right::Probe { "have probes sent" } else { "change anything" };
                assert_eq!(status.code(), Code::PermissionDenied, "{method}");
                assert!(status.message().ends_with(&format!("may not {what}: ask root")), "{status}");
            }
        }
        for nothing in [None, Some(Rights::Nothing("ask root".to_owned()))] {
            assert_eq!(asked(method, nothing).unwrap_err().code(), Code::PermissionDenied, "{method}");
        }
    }
}

#[test]
fn method_that_is_not_listed_is_refused() {
    for method in ["/maglev.Maglev/NoSuchMethod", "/maglev.Maglev/", "/maglev.Maglev/liststatus", "/", "/x"] {
        assert_eq!(asked(method, Some(Rights::Admin)).unwrap_err().code(), Code::Unimplemented, "{method}");
        assert_eq!(asked(method, None).unwrap_err().code(), Code::PermissionDenied, "{method}");
    }
}
