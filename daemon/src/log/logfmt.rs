//! Log lines of the form `time=... level=... target=... msg="..." key=value`: one record is one line,
//! whatever its values contain.

use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The format.
#[derive(Debug)]
pub(super) struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        writer.write_str("time=")?;
        SystemTime.format_time(&mut writer)?;
        let level = metadata.level().as_str().to_ascii_lowercase();
        write!(writer, " level={level} target={} msg=", metadata.target())?;
        write_value(&mut writer, &fields.message)?;
        writeln!(writer, "{}", fields.rest)
    }
}

#[derive(Debug, Default)]
struct Fields {
    message: String,
    /// Further fields, each preceded by a space.
    rest: String,
}

impl Fields {
    fn add(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
            return;
        }
        let name = field.name().trim_start_matches("r#");
        // Writing to a string cannot fail.
        write!(self.rest, " {name}=").and_then(|()| write_value(&mut self.rest, value)).unwrap_or_default();
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, &format!("{value:?}"));
    }
}

/// Writes a value, quoted if a parser would otherwise not find its end.
fn write_value(out: &mut impl Write, value: &str) -> fmt::Result {
    let is_plain =
        |char: char| !char.is_whitespace() && !char.is_control() && !matches!(char, '"' | '=' | '\\');
    if !value.is_empty() && value.chars().all(is_plain) {
        return out.write_str(value);
    }
    out.write_char('"')?;
    for char in value.chars() {
        match char {
            '"' | '\\' => write!(out, "\\{char}")?,
            '\n' => out.write_str("\\n")?,
            '\t' => out.write_str("\\t")?,
            char if char.is_control() => write!(out, "\\u{{{:x}}}", u32::from(char))?,
            char => out.write_char(char)?,
        }
    }
    out.write_char('"')
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn record_is_one_line_whose_values_can_be_told_apart() {
        let sink = Sink::default();
        let writer = sink.clone();
        let layer = fmt::layer().event_format(Logfmt).with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let (what, pid) = ("set backend \"b1\"\npause", Some(7));
            tracing::warn!(target: "maglev", what, pid, none = None::<u32>, empty = "", path = %"/a=b", "not {}", "kept");
        });
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(time.starts_with("time=20") && time.ends_with('Z'), "{text}");
        let expected = "level=warn target=maglev msg=\"not kept\" what=\"set backend \\\"b1\\\"\\npause\" pid=7 empty=\"\" \
                        path=\"/a=b\"\n";
        assert_eq!(rest, expected);
    }
}
