//! The file that every message is traced to, a JSON object a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tracing::error;

use crate::api::ClientId;
use crate::api::trace::Entry;

/// A trace that is appended to. Each line is written at once. Clones write to the same file.
#[derive(Debug, Clone)]
pub struct TraceFile(Arc<Mutex<Option<File>>>);

#[derive(Serialize)]
struct Line<'a> {
    /// Seconds since 1970.
    time: f64,
    /// Index of the connection, and the name that the client gave itself.
    client: u32,
    client_name: &'a str,
    #[serde(flatten)]
    entry: &'a Entry,
}

impl TraceFile {
    /// Opens a file to append to.
    ///
    /// # Errors
    /// Those of the system.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Arc::new(Mutex::new(Some(file)))))
    }

    /// Appends entries. After an error, which is logged, nothing more is written.
    pub fn write(&self, client: ClientId, client_name: &str, entries: &[Entry]) {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let client = client.index();
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            let Some(open) = file.as_mut() else { return };
            if let Err(error) = append(open, &Line { time, client, client_name, entry }) {
                error!(%error, "the API trace ends here");
                *file = None;
            }
        }
    }
}

fn append(file: &mut File, line: &Line<'_>) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    file.write_all(&text)
}
