//! The line editor: rustyline, with completion by Tab and help by `?`.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::{Completer, Pair};
use rustyline::config::BellStyle;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{
    Behavior, Cmd, CompletionType, ConditionalEventHandler, Config, Context, Editor, Event, EventContext,
    EventHandler, Helper, KeyEvent, RepeatCount,
};

use crate::shell::assistant::{Assistant, Completed};
use crate::shell::history;
use crate::shell::words::{Tail, split};

/// Input from the terminal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    Line(String),
    /// `?`, or Tab with several completions, and the cursor position, in bytes.
    Question(String, usize),
    /// Ctrl-C: discard the line.
    Interrupt,
    /// Ctrl-D, or the terminal is gone.
    End,
}

pub(crate) struct LineEditor {
    editor: Editor<Tab, FileHistory>,
    question: Asked,
    history: Option<PathBuf>,
    prompt: String,
}

impl LineEditor {
    pub(crate) fn new(
        assistant: Rc<Assistant>,
        prompt: String,
        history: Option<PathBuf>,
    ) -> Result<Self, ReadlineError> {
        let config = Config::builder()
            .max_history_size(history::LINES)?
            .history_ignore_dups(true)?
            .completion_type(CompletionType::List)
            .bell_style(BellStyle::None)
            .behavior(Behavior::Stdio)
            .build();
        let mut editor = Editor::with_history(config.clone(), FileHistory::with_config(&config))?;
        let question = Arc::default();
        editor.set_helper(Some(Tab(assistant, Arc::clone(&question))));
        let ask = Ask(Arc::clone(&question));
        editor.bind_sequence(KeyEvent::from('?'), EventHandler::Conditional(Box::new(ask)));
        if let Some(path) = &history {
            // Without an old history, a new one begins.
            drop(editor.load_history(path));
        }
        Ok(Self { editor, question, history, prompt })
    }

    /// Reads a line. `initial` is preset, left and right of the cursor.
    pub(crate) fn read(&mut self, initial: (&str, &str)) -> Result<Typed, ReadlineError> {
        let read = self.editor.readline_with_initial(self.prompt.as_str(), initial);
        let question = self.question.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (read, question) {
            (Ok(line), Some((asked, cursor))) if asked == line => Ok(Typed::Question(line, cursor)),
            (Ok(line), _) => Ok(Typed::Line(line)),
            // How Tab ends the reading.
            (Err(ReadlineError::Io(_)), Some((line, cursor))) => Ok(Typed::Question(line, cursor)),
            (Err(ReadlineError::Interrupted), _) => Ok(Typed::Interrupt),
            (Err(ReadlineError::Eof), _) => Ok(Typed::End),
            (Err(error), _) => Err(error),
        }
    }

    /// Adds a line to the history. Failures are ignored.
    pub(crate) fn keep(&mut self, line: &str) {
        let is_new = self.editor.add_history_entry(line).unwrap_or(false);
        if let (true, Some(path)) = (is_new, &self.history) {
            drop(self.editor.append_history(path));
        }
    }
}

/// The line and the cursor when `?` or Tab ended the reading.
type Asked = Arc<Mutex<Option<(String, usize)>>>;

/// Ends the reading, so that help is printed like any other answer, and the line is then continued.
struct Ask(Asked);

impl ConditionalEventHandler for Ask {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, context: &EventContext) -> Option<Cmd> {
        let (line, cursor) = (context.line(), context.pos());
        if matches!(split(line.get(..cursor)?).tail, Tail::Open(_) | Tail::Comment) {
            return None;
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((line.to_owned(), cursor));
        Some(Cmd::AcceptLine)
    }
}

/// Completions are not listed by the library, which garbles them if prompt and line wrap.
struct Tab(Rc<Assistant>, Asked);

impl Completer for Tab {
    type Candidate = Pair;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        match self.0.complete(line, cursor) {
            Completed::Word { start, text } => {
                Ok((start, vec![Pair { display: text.clone(), replacement: text }]))
            }
            Completed::Nothing => Ok((cursor, Vec::new())),
            Completed::Several => {
                *self.1.lock().unwrap_or_else(PoisonError::into_inner) = Some((line.to_owned(), cursor));
                Err(io::Error::other("several words can follow").into())
            }
        }
    }
}

impl Hinter for Tab {
    type Hint = String;
}

impl Highlighter for Tab {}
impl Validator for Tab {}
impl Helper for Tab {}
