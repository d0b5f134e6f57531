//! Syntax of each command, for people.

/// A command's name and form.
#[derive(Debug, PartialEq, Eq)]
pub struct Form {
    /// Its first word.
    pub name: &'static str,
    /// What follows.
    pub arguments: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

const LIMITS: &str =
    "[MESSAGE] [client NAME] [vip ADDRESS] [port PORT] [as ADDRESS] [nth N | from N | count N | always]";

/// All commands.
pub const FORMS: &[Form] = &[
    Form {
        name: "delay",
        arguments: "TIME LIMITS",
        meaning: "requests are carried out at once and answered late",
    },
    Form { name: "lose", arguments: "LIMITS", meaning: "requests are neither carried out nor answered" },
    Form { name: "mute", arguments: "LIMITS", meaning: "requests are carried out and not answered" },
    Form {
        name: "fail",
        arguments: "retval CODE LIMITS",
        meaning: "requests are not carried out, and answered with CODE (-128 to -1)",
    },
    Form {
        name: "close",
        arguments: "LIMITS",
        meaning: "requests are not carried out; the connection that they came by is closed",
    },
    Form {
        name: "cut",
        arguments: "LIMITS",
        meaning: "requests are carried out; the connection is closed without an answer",
    },
    Form {
        name: "hang",
        arguments: "[LIMITS]",
        meaning: "nothing is read or answered any more: at once, or with limits when such a request comes",
    },
    Form { name: "resume", arguments: "", meaning: "ends a hang; what has waited is carried out" },
    Form {
        name: "restart",
        arguments: "[empty-for TIME] [lb-api VERSION] [heap-size SIZE] [workers N] [LIMITS]",
        meaning: "VPP dies and starts anew with nothing configured: at once, or with limits when such a request comes",
    },
    Form {
        name: "busy-stats",
        arguments: "on | off",
        meaning: "in_progress of the stats segment stays set, so that nobody can read it",
    },
    Form {
        name: "churn-stats",
        arguments: "TIME | off",
        meaning: "every TIME (1ms or more) all vectors of the stats segment move, as if interfaces came and went",
    },
    Form {
        name: "grow-stats",
        arguments: "N",
        meaning: "the stats directory gets N (1 to 10000) more entries",
    },
    Form {
        name: "break-stats",
        arguments: "version | directory | pointers | lengths | off",
        meaning: "the stats segment has garbage there",
    },
    Form { name: "wait", arguments: "NUMBER", meaning: "answered when fault NUMBER has befallen a request" },
    Form { name: "clear", arguments: "[NUMBER]", meaning: "ends fault NUMBER, or all faults" },
    Form { name: "list", arguments: "", meaning: "tells what is set, and what it has befallen so far" },
    Form {
        name: "rebuilds",
        arguments: "",
        meaning: "tells how many times VPP has rebuilt new-flow tables since it started",
    },
    Form { name: "help", arguments: "[COMMAND]", meaning: "tells all commands, or the form of one" },
];

impl Form {
    /// The whole form in a line.
    pub fn line(&self) -> String {
        let arguments = self.arguments.replace("[LIMITS]", LIMITS).replace("LIMITS", LIMITS);
        let blank = if arguments.is_empty() { "" } else { " " };
        format!("{}{blank}{arguments}: {}", self.name, self.meaning)
    }

    pub(super) fn find(name: &str) -> Option<&'static Self> {
        FORMS.iter().find(|form| form.name == name)
    }
}

/// The names of all commands, for messages.
pub fn names() -> String {
    FORMS.iter().map(|form| form.name).collect::<Vec<_>>().join(", ")
}
