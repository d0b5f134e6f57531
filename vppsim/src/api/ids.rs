//! Message ids.

use std::collections::HashMap;
use std::str::FromStr;

use xxhash_rust::xxh64::xxh64;

/// The messages known here, with their ids in the build of VPP 26.10 that was recorded.
///
/// `memclnt_keepalive` is in VPP's table too, though it does not answer it on a socket.
const RECORDED: &[(&str, u16)] = &[
    ("api_versions_51077d14", 12),
    ("api_versions_reply_5f0d99d6", 13),
    ("sockclnt_create_455fb9c4", 15),
    ("sockclnt_create_reply_35166268", 16),
    ("sockclnt_delete_8ac76db6", 17),
    ("sockclnt_delete_reply_8f38b1ee", 18),
    ("memclnt_keepalive_51077d14", 21),
    ("memclnt_keepalive_reply_e8d4e804", 22),
    ("control_ping_51077d14", 23),
    ("control_ping_reply_f6b0b8ca", 24),
    ("get_api_json_51077d14", 27),
    ("get_api_json_reply_ea715b59", 28),
    ("lb_conf_56cd3261", 89),
    ("lb_conf_reply_e8d4e804", 90),
    ("lb_conf_get_51077d14", 91),
    ("lb_conf_get_reply_923427ac", 92),
    ("lb_add_del_vip_v2_7c520e0f", 95),
    ("lb_add_del_vip_v2_reply_e8d4e804", 96),
    ("lb_add_del_as_v2_2f1d3b0e", 99),
    ("lb_add_del_as_v2_reply_e8d4e804", 100),
    ("lb_as_set_weight_2d89bdbd", 101),
    ("lb_as_set_weight_reply_e8d4e804", 102),
    ("lb_flush_vip_1063f819", 103),
    ("lb_flush_vip_reply_e8d4e804", 104),
    ("lb_vip_dump_56110cb7", 105),
    ("lb_vip_details_1329ec9b", 106),
    ("lb_as_v2_dump_1063f819", 109),
    ("lb_as_v2_details_90064aae", 110),
    ("cli_inband_f8377302", 119),
    ("cli_inband_reply_05879051", 121),
    ("ip_route_lookup_v2_710d6471", 403),
    ("ip_route_lookup_v2_reply_84cc9e03", 405),
    ("show_version_51077d14", 848),
    ("show_version_reply_c919bde1", 849),
];

/// The message table of VPP 26.06 as its handshake was recorded: an id and a name with its CRC in each line.
const TABLE_26_06: &str = include_str!("messages-26.06.txt");

/// The ids below this one are the same in every build, including the handshake's.
const FIRST_SHUFFLED: u16 = 19;

/// Maximum shift between the ids of one seed and those of the next.
const MOST_SHIFT: u64 = 1000;

/// The names of the requests known here, without their CRCs.
pub fn request_names() -> impl Iterator<Item = &'static str> {
    let older = ["lb_add_del_as", "lb_as_dump"].into_iter();
    let names = RECORDED.iter().map(|(name_crc, _)| without_crc(name_crc)).chain(older);
    names.filter(|name| !name.ends_with("_reply") && !name.ends_with("_details"))
}

/// A message's name without its CRC, which is 8 digits behind an underscore.
pub(super) fn without_crc(name_crc: &'static str) -> &'static str {
    name_crc.rsplit_once('_').map_or(name_crc, |(name, _)| name)
}

/// Version of the lb plugin's API, which decides on the messages and their behaviour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LbApi {
    /// VPP 26.10. The table has the messages known here.
    #[default]
    V1_2_0,
    /// VPP 23.06 to 26.06: without weights. The table is that of 26.06, complete; messages unknown here get no answer.
    V1_1_0,
    /// Older: the table of 26.06 without `lb_add_del_vip_v2`.
    V1_0_0,
}

impl LbApi {
    const ALL: [Self; 3] = [Self::V1_2_0, Self::V1_1_0, Self::V1_0_0];

    /// The version.
    pub fn name(self) -> &'static str {
        match self {
            Self::V1_2_0 => "1.2.0",
            Self::V1_1_0 => "1.1.0",
            Self::V1_0_0 => "1.0.0",
        }
    }

    /// The newest release of VPP with it, as VPP's version begins.
    pub fn release(self) -> &'static str {
        match self {
            Self::V1_2_0 => "26.10",
            Self::V1_1_0 => "26.06",
            Self::V1_0_0 => "23.02",
        }
    }

    /// Whether servers have weights.
    pub fn has_weights(self) -> bool {
        self == Self::V1_2_0
    }

    fn table(self) -> Vec<(&'static str, u16)> {
        if self == Self::V1_2_0 {
            return RECORDED.to_vec();
        }
        let entries = TABLE_26_06.lines().filter_map(|line| line.split_once(' '));
        let known = |name_crc: &str| self == Self::V1_1_0 || !name_crc.starts_with("lb_add_del_vip_v2");
        let entries = entries.filter(|(_, name_crc)| known(name_crc));
        entries.filter_map(|(id, name_crc)| Some((name_crc, id.parse().ok()?))).collect()
    }
}

/// An argument that is no version of the lb plugin's API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} found, expected {LB_APIS}")]
pub struct LbApiError(String);

/// The versions, for error messages.
pub(crate) const LB_APIS: &str = "1.2.0, 1.1.0 or 1.0.0";

impl FromStr for LbApi {
    type Err = LbApiError;

    fn from_str(text: &str) -> Result<Self, LbApiError> {
        Self::ALL.into_iter().find(|api| api.name() == text).ok_or_else(|| LbApiError(text.to_owned()))
    }
}

/// The message table of a simulated VPP.
#[derive(Debug, Clone)]
pub struct MessageIds {
    lb_api: LbApi,
    /// `None` for the recorded ids.
    seed: Option<u64>,
    name: String,
    by_id: HashMap<u16, &'static str>,
    by_name: HashMap<&'static str, u16>,
    order: Vec<&'static str>,
}

/// An argument that does not choose a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} found, expected recorded, shuffled, or shuffled:SEED with a number")]
pub struct MessageIdsError(String);

impl MessageIds {
    /// The ids of the recorded VPP 26.10.
    pub fn recorded() -> Self {
        Self::new(LbApi::default(), None)
    }

    /// Other ids in another order, as in another build of VPP: they reveal a client with hard-coded ids. The
    /// handshake's ids never change.
    pub fn shuffled(seed: u64) -> Self {
        Self::new(LbApi::default(), Some(seed))
    }

    /// The table of another version of the lb plugin's API, shuffled in the same way or not.
    pub fn of_lb_api(&self, lb_api: LbApi) -> Self {
        Self::new(lb_api, self.seed)
    }

    fn new(lb_api: LbApi, seed: Option<u64>) -> Self {
        let table = match seed {
            Some(seed) => shuffle(lb_api.table(), seed),
            None => lb_api.table(),
        };
        Self {
            lb_api,
            seed,
            name: seed.map_or_else(|| "recorded".to_owned(), |seed| format!("shuffled:{seed}")),
            by_id: table.iter().map(|(name, id)| (*id, *name)).collect(),
            by_name: table.iter().copied().collect(),
            order: table.into_iter().map(|(name, _)| name).collect(),
        }
    }

    /// The version of the lb plugin's API whose messages these are.
    pub fn lb_api(&self) -> LbApi {
        self.lb_api
    }

    /// The argument that chooses this very table.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The message with this id.
    pub fn name_crc(&self, id: u16) -> Option<&'static str> {
        self.by_id.get(&id).copied()
    }

    /// The id of this message.
    pub fn id(&self, name_crc: &str) -> Option<u16> {
        self.by_name.get(name_crc).copied()
    }

    /// Every message with its id.
    pub fn table(&self) -> impl Iterator<Item = (&'static str, u16)> {
        self.order.iter().filter_map(|name| Some((*name, self.id(name)?)))
    }
}

fn shuffle(table: Vec<(&'static str, u16)>, seed: u64) -> Vec<(&'static str, u16)> {
    let last = table.iter().map(|(_, id)| *id).max().unwrap_or(FIRST_SHUFFLED);
    let (mut shuffled, mut others): (Vec<_>, Vec<_>) =
        table.into_iter().partition(|(_, id)| *id < FIRST_SHUFFLED);
    others.sort_by_key(|(name, _)| xxh64(name.as_bytes(), seed));
    let shift = u16::try_from(xxh64(b"shift", seed) % MOST_SHIFT).unwrap_or(0);
    let ids = last.saturating_add(1 + shift)..;
    shuffled.extend(others.into_iter().map(|(name, _)| name).zip(ids));
    shuffled.sort_by_key(|(name, _)| xxh64(name.as_bytes(), !seed));
    shuffled
}

impl FromStr for MessageIds {
    type Err = MessageIdsError;

    fn from_str(text: &str) -> Result<Self, MessageIdsError> {
        let wrong = || MessageIdsError(text.to_owned());
        match text.split_once(':') {
            None if text == "recorded" => Ok(Self::recorded()),
            None if text == "shuffled" => Ok(Self::shuffled(std::process::id().into())),
            Some(("shuffled", seed)) => seed.parse().map(Self::shuffled).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}
