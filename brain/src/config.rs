//! The configuration file: YAML -> model -> validated [`Config`].

mod model;

pub use model::{
    Backend, CheckKind, Config, Frontend, HealthCheck, HealthChecker, HttpCheck, HttpMethod, LbSettings, Pool,
    Service, StatusCodes, TlsCheck,
};
