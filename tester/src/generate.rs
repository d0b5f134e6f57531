//! The manual page and the completion scripts, made from the command line.

use clap::CommandFactory;
use clap_mangen::Man;
use maglev_proto::client::manual;

use crate::args::Arguments;

/// What the command line asks for, if it asks for either.
pub(crate) fn asked_for(arguments: &Arguments) -> Option<String> {
    let mut out = Vec::new();
    if let Some(shell) = arguments.completions {
        clap_complete::generate(shell, &mut Arguments::command(), "maglevt", &mut out);
    } else if arguments.man {
        let man = Man::new(Arguments::command())
            .manual("Maglev load balancer")
            .source(concat!("maglevt ", env!("CARGO_PKG_VERSION")));
        // Writing to memory does not fail.
        page(&man, &mut out).ok()?;
    } else {
        return None;
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// As clap_mangen would, with the environment, and with the sections that the help has behind the options.
fn page(man: &Man, out: &mut Vec<u8>) -> std::io::Result<()> {
    let command = Arguments::command();
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    let no_color =
        ("NO_COLOR", "If it is set and not empty, nothing is coloured unless --color asks for it.");
    manual::environment(&command, &[no_color]).to_writer(out)?;
    let more = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    manual::sections(&more).to_writer(out)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn generated(words: &[&str]) -> String {
        asked_for(&Arguments::parse_from(["maglevt"].iter().chain(words))).unwrap()
    }

    #[test]
    fn page_and_scripts_have_the_options() {
        let page = generated(&["--man"]);
        for part in [".TH maglevt 1", "\\-\\-max\\-outage", "SH \"EXIT CODES\"", "MAGLEV_SERVER"] {
            assert!(page.contains(part), "{part} in\n{page}");
        }
        for shell in ["bash", "zsh", "fish"] {
            assert!(generated(&["--completions", shell]).contains("expect-share"), "{shell}");
        }
        assert_eq!(asked_for(&Arguments::parse_from(["maglevt"])), None);
    }
}
