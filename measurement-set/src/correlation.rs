//! What the numbers of a visibility are products of.

/// The product of two receptors of one kind: linear ones, X and Y, or circular ones, R and L.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correlation {
    /// R with R.
    Rr,
    /// R with L.
    Rl,
    /// L with R.
    Lr,
    /// L with L.
    Ll,
    /// X with X.
    Xx,
    /// X with Y.
    Xy,
    /// Y with X.
    Yx,
    /// Y with Y.
    Yy,
}

impl Correlation {
    /// All of them, in the order of their codes.
    const ALL: [Self; 8] = [
        Self::Rr,
        Self::Rl,
        Self::Lr,
        Self::Ll,
        Self::Xx,
        Self::Xy,
        Self::Yx,
        Self::Yy,
    ];

    /// The number of `casacore::Stokes::StokesTypes`, with which POLARIZATION names it.
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::Rr => 5,
            Self::Rl => 6,
            Self::Lr => 7,
            Self::Ll => 8,
            Self::Xx => 9,
            Self::Xy => 10,
            Self::Yx => 11,
            Self::Yy => 12,
        }
    }

    /// The correlation of a code; none for Stokes parameters and for other products.
    pub(crate) fn from_code(code: f64) -> Option<Self> {
        let is_it = |correlation: &Self| (f64::from(correlation.code()) - code).abs() < 0.5;
        Self::ALL.into_iter().find(is_it)
    }

    /// The receptors of the first and of the second antenna: 0 is X or R, 1 is Y or L.
    pub fn receptors(self) -> [u8; 2] {
        match self {
            Self::Rr | Self::Xx => [0, 0],
            Self::Rl | Self::Xy => [0, 1],
            Self::Lr | Self::Yx => [1, 0],
            Self::Ll | Self::Yy => [1, 1],
        }
    }

    /// Whether it is a product of circular receptors.
    pub fn is_circular(self) -> bool {
        matches!(self, Self::Rr | Self::Rl | Self::Lr | Self::Ll)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_correlation_has_a_code_of_its_own() {
        for correlation in Correlation::ALL {
            let code = f64::from(correlation.code());
            assert_eq!(Correlation::from_code(code), Some(correlation));
        }
        // Stokes I to V, and what has one linear and one circular receptor.
        for other in [0.0, 1.0, 4.0, 13.0, f64::NAN] {
            assert_eq!(Correlation::from_code(other), None, "{other}");
        }
    }
}
