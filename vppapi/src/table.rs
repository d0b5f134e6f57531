//! The message table that VPP sends when a client connects.
//!
//! Ids change from one build of VPP to the next; a name with its CRC always means the same layout.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::messages::SockclntCreateReply;

/// A VPP's messages and their ids.
#[derive(Clone, Debug, Default)]
pub struct MessageTable {
    ids: HashMap<String, u16>,
    name_crcs: HashMap<u16, String>,
}

/// Result of looking up a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// It is there, with this id.
    Found(u16),
    /// The name exists with another CRC, which means another layout. Contains VPP's name and CRC.
    OtherCrc(&'a str),
    /// The name is not there.
    Absent,
}

impl MessageTable {
    /// Builds a table from ids and names with CRC. If a name or an id occurs twice, the last one counts.
    pub fn new(entries: impl IntoIterator<Item = (u16, String)>) -> Self {
        let mut table = Self::default();
        for (id, name_crc) in entries {
            table.ids.insert(name_crc.clone(), id);
            table.name_crcs.insert(id, name_crc);
        }
        table
    }

    /// The id of a message, by name and CRC.
    #[must_use]
    pub fn id(&self, name_crc: &str) -> Option<u16> {
        self.ids.get(name_crc).copied()
    }

    /// The name and CRC of an id.
    #[must_use]
    pub fn name_crc(&self, id: u16) -> Option<&str> {
        self.name_crcs.get(&id).map(String::as_str)
    }

    /// Looks up a message; if it is missing, looks for its name with another CRC.
    #[must_use]
    pub fn find(&self, name_crc: &str) -> Lookup<'_> {
        if let Some(id) = self.id(name_crc) {
            return Lookup::Found(id);
        }
        let name = name_of(name_crc);
        match self.ids.keys().find(|listed| name.is_some() && name_of(listed) == name) {
            Some(listed) => Lookup::OtherCrc(listed),
            None => Lookup::Absent,
        }
    }

    /// Describes the wanted messages that this VPP lacks: each with its CRC, and with VPP's CRC if only that
    /// differs.
    #[must_use]
    pub fn missing(&self, wanted: &[&str]) -> Vec<String> {
        let describe = |name_crc: &&str| match self.find(name_crc) {
            Lookup::Found(_) => None,
            Lookup::OtherCrc(found) => Some(format!("{name_crc} (VPP has {found})")),
            Lookup::Absent => Some((*name_crc).to_owned()),
        };
        wanted.iter().filter_map(describe).collect()
    }

    /// The number of messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether the table is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl From<&SockclntCreateReply> for MessageTable {
    fn from(reply: &SockclntCreateReply) -> Self {
        Self::new(reply.table.iter().map(|entry| (entry.id, entry.name_crc.to_string())))
    }
}

fn name_of(name_crc: &str) -> Option<&str> {
    name_crc.rsplit_once('_').map(|(name, _)| name)
}
