//! The order in which units are made.

/// Where a unit stands: it reads what stands below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stratum {
    /// What the operator says in an object.
    Operator,
    /// One Ingress by itself.
    Ingress,
    /// What its account allows.
    Allowed,
    /// Which policies are about which ports of a Service, and what each comes to by itself.
    Police,
    /// Which of them holds for a port.
    Hold,
    /// What a Gateway comes to by itself, and the rules of a route.
    Listen,
    /// What a parent of routes brings of a Gateway's listeners.
    Bring,
    /// What is at an address and port, and to which listeners a route is attached.
    Attach,
    /// What an object claims.
    Claim,
    /// What is at an address and port, by hostname.
    Port,
    /// Whose a host is.
    Own,
    /// Which Gateway has a host.
    Possess,
    /// What a host has for those below it.
    Offer,
    /// Who can take that.
    Taker,
    /// Listeners, hosts, clusters, load assignments, certificates, and what is said of an object.
    Made,
}
