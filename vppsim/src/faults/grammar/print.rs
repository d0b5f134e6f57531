//! Faults as they are written.

use std::fmt;
use std::net::IpAddr;

use super::DAMAGES;
use crate::faults::{Action, Fault, Filter, Restart, StatsFault, Window};

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.action, self.filter)?;
        match self.window {
            // Alone, "hang" would be the command that takes effect at once.
            Window::ALWAYS => f.write_str(" always"),
            Window { first, last: Some(last) } if first == last => write!(f, " nth {first}"),
            Window { first: 1, last: Some(last) } => write!(f, " count {last}"),
            Window { first, .. } => write!(f, " from {first}"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(time) => write!(f, "delay {}ms", time.as_millis()),
            Self::Lose => f.write_str("lose"),
            Self::Mute => f.write_str("mute"),
            Self::Fail(retval) => write!(f, "fail retval {retval}"),
            Self::Close => f.write_str("close"),
            Self::Cut => f.write_str("cut"),
            Self::Hang => f.write_str("hang"),
            Self::Restart(restart) => write!(f, "restart{restart}"),
        }
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.empty_for.is_zero() {
            write!(f, " empty-for {}ms", self.empty_for.as_millis())?;
        }
        if let Some(lb_api) = self.lb_api {
            write!(f, " lb-api {}", lb_api.name())?;
        }
        if let Some(bytes) = self.heap_size {
            write!(f, " heap-size {bytes}")?;
        }
        self.workers.map_or(Ok(()), |workers| write!(f, " workers {workers}"))
    }
}

impl fmt::Display for StatsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy(on) => write!(f, "busy-stats {}", if *on { "on" } else { "off" }),
            Self::Churn(None) => f.write_str("churn-stats off"),
            Self::Churn(Some(period)) => write!(f, "churn-stats {}ms", period.as_millis()),
            Self::Grow(count) => write!(f, "grow-stats {count}"),
            Self::Break(damage) => {
                let name = DAMAGES.iter().find(|(_, known)| known == damage).map_or("off", |(name, _)| name);
                write!(f, "break-stats {name}")
            }
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut part = |name: &str, value: Option<&dyn fmt::Display>| match value {
            Some(value) => write!(f, " {name}{value}"),
            None => Ok(()),
        };
        fn shown<T: fmt::Display>(value: &Option<T>) -> Option<&dyn fmt::Display> {
            value.as_ref().map(|value| value as &dyn fmt::Display)
        }
        part("", shown(&self.message))?;
        part("client ", shown(&self.client))?;
        part("vip ", shown(&self.vip))?;
        part("port ", shown(&self.port))?;
        part("as ", shown::<IpAddr>(&self.server))
    }
}
