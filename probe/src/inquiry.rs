//! What a client asks of an answer besides the verdict, such as which server gave it.

use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Details that are read from an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inquiry {
    /// Names of response headers.
    pub headers: Vec<String>,
    /// The first line of the body, of which at most [`LONGEST_LINE`](Self::LONGEST_LINE) bytes are waited for.
    pub first_line: bool,
    /// Keeps the connection for the next request, if the server lets it and the body's length is known.
    pub keep: bool,
}

impl Inquiry {
    /// Longest part of a body's first line, in bytes.
    pub const LONGEST_LINE: usize = 128;
}

/// Details of an answer; what it lacks is `None`. The values are a stranger's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Values of the headers, in the order of the inquiry.
    pub headers: Vec<Option<String>>,
    /// The first line of the body, unless it is blank.
    pub first_line: Option<String>,
}

/// An open connection, kept for the next request.
#[derive(Debug)]
pub enum Kept {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Kept {
    /// The connection below TLS.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }
}
