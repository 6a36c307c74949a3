//! `timestamptz` as a [`jiff::Timestamp`], with `infinity`, which the engine uses for
//! "waits for an event, without a timeout".

use jiff::Timestamp;
use sqlx::{
    Decode, Encode, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef},
};

/// 2000-01-01T00:00:00Z, from which PostgreSQL counts microseconds, in Unix seconds.
const POSTGRES_EPOCH_SECONDS: i64 = 946_684_800;
const MICROS: i64 = 1_000_000;

/// A column of type `timestamptz`, in the binary format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timestamptz {
    At(Timestamp),
    Infinity,
}

impl Timestamptz {
    pub(crate) fn finite(self) -> Option<Timestamp> {
        match self {
            Self::At(time) => Some(time),
            Self::Infinity => None,
        }
    }
}

impl Type<Postgres> for Timestamptz {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("timestamptz")
    }
}

impl Encode<'_, Postgres> for Timestamptz {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = match self {
            Self::Infinity => i64::MAX,
            Self::At(time) => time.as_microsecond() - POSTGRES_EPOCH_SECONDS * MICROS,
        };
        Encode::<Postgres>::encode(micros, buf)
    }
}

impl Decode<'_, Postgres> for Timestamptz {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let micros = <i64 as Decode<Postgres>>::decode(value)?;
        if micros == i64::MAX {
            return Ok(Self::Infinity);
        }
        let unix = micros
            .checked_add(POSTGRES_EPOCH_SECONDS * MICROS)
            .ok_or("time out of range")?;
        Ok(Self::At(Timestamp::from_microsecond(unix)?))
    }
}
