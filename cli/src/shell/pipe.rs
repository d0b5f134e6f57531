//! Commands from a pipe or a file: line by line, all of them, like birdc.

use std::io::{self, BufRead, Read};

use crate::shell::session::{self, Done, Session};

/// Maximum length of a line, in bytes; a longer one ends the session.
const LONGEST_LINE: u64 = 64 << 10;

enum Input {
    Line(String),
    /// This line is skipped.
    NotText,
    End,
}

/// Returns the exit code of the last command that failed; 0 if none did.
pub(crate) fn run(mut session: Session) -> u8 {
    let mut code = 0;
    loop {
        match read() {
            Ok(Input::Line(line)) => match session.run(line.trim_end_matches(['\n', '\r'])) {
                Done::Leave => return code,
                Done::Code(0) => {}
                Done::Code(failed) => code = failed,
            },
            Ok(Input::NotText) => {
                session::tell("maglevc: skipped a line that is not UTF-8\n");
                code = session::USAGE;
            }
            Ok(Input::End) => return code,
            Err(error) => {
                session::tell(&format!("maglevc: cannot read the next command: {error}\n"));
                return session::USAGE;
            }
        }
    }
}

fn read() -> io::Result<Input> {
    let mut line = Vec::new();
    // Locked for one line only, since a command may ask a question.
    let read = io::stdin().lock().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(Input::End);
    }
    if line.last() != Some(&b'\n') && u64::try_from(read).is_ok_and(|read| read >= LONGEST_LINE) {
        return Err(io::Error::other(format!("it has more than {LONGEST_LINE} bytes")));
    }
    Ok(String::from_utf8(line).map_or(Input::NotText, Input::Line))
}
