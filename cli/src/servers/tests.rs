use super::*;
use crate::samples;

fn reply(answer: Result<Answer, Error>) -> Reply {
    Reply { server: "lb1:9090".parse().unwrap(), answer }
}

fn refused() -> Result<Answer, Error> {
    Err(Error::Refused { code: tonic::Code::NotFound, message: "there is no frontend \"x\"".into() })
}

fn lost() -> Result<Answer, Error> {
    Err(Error::Broken { server: "lb2:9090".parse().unwrap(), reason: "reset".into() })
}

fn known() -> Result<Answer, Error> {
    Ok(Answer::Agent(samples::agent()))
}

#[test]
fn exit_code_tells_all_from_some_and_none() {
    for (answers, code) in [
        (vec![known(), known()], 0),
        (vec![known(), lost()], 5),
        (vec![refused(), known()], 5),
        (vec![lost(), refused()], 3),
        (vec![refused(), refused()], 1),
    ] {
        let replies: Vec<_> = answers.into_iter().map(reply).collect();
        assert_eq!(exit_code(&replies), code, "{replies:?}");
    }
}

#[test]
fn json_has_an_answer_or_an_error_for_each() {
    let text = json(&[reply(known()), reply(refused())]).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document[0]["server"], "lb1:9090");
    assert_eq!(document[0]["answer"]["protocol"], 10);
    assert_eq!(document[1], json!({ "server": "lb1:9090", "error": "there is no frontend \"x\"" }));
    assert!(text.ends_with("]\n"));
}
