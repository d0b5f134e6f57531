//! Two macros that turn a list of fields, in wire order, into a type with its encoding.

/// A struct encoded as its fields in order.
macro_rules! wire_struct {
    (
        $(#[$meta:meta])*
        pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $ty:ty,)* }
    ) => {
        #[derive(Clone, Debug, PartialEq, Eq)]
        $(#[$meta])*
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
        }

        impl $crate::wire::Wire for $name {
            #[allow(unused_variables, reason = "a message may have no fields")]
            fn encode(&self, writer: &mut $crate::wire::Writer) {
                $($crate::wire::Wire::encode(&self.$field, writer);)*
            }

            #[allow(unused_variables, reason = "a message may have no fields")]
            fn decode(reader: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::wire::DecodeError> {
                Ok(Self { $($field: reader.field(stringify!($field))?,)* })
            }
        }
    };
}

/// Messages: a struct each, with its name, CRC and role.
///
/// The role is `request` or `dump` with the type of the answer, `reply`, `details`, or `bare` for a message
/// that is none of these.
macro_rules! messages {
    ($(
        $(#[$meta:meta])*
        $role:ident $name:ident = $wire_name:literal $crc:literal $(=> $answer:ident)?
        { $($fields:tt)* }
    )*) => {
        $(
            wire_struct! {
                $(#[$meta])*
                #[doc = concat!("\n\n`", $wire_name, "_", $crc, "`")]
                pub struct $name { $($fields)* }
            }

            impl $crate::messages::Message for $name {
                const NAME: &'static str = $wire_name;
                const CRC: &'static str = $crc;
                const NAME_CRC: &'static str = concat!($wire_name, "_", $crc);
            }

            messages!(@role $role $name $($answer)?);
        )*

        /// The name and CRC of each message of this module.
        pub(super) const NAME_CRCS: &[&str] = &[$(concat!($wire_name, "_", $crc)),*];
    };
    (@role request $name:ident $reply:ident) => {
        impl $crate::messages::Request for $name {
            type Reply = $reply;
        }
    };
    (@role dump $name:ident $details:ident) => {
        impl $crate::messages::Dump for $name {
            type Details = $details;
        }
    };
    (@role reply $name:ident) => {
        impl $crate::messages::Reply for $name {
            fn retval(&self) -> i32 {
                self.retval
            }
        }
    };
    (@role details $name:ident) => {};
    (@role bare $name:ident) => {};
}
