//! What an attacker sends, as tables: bytes in, the answer that is right, one `check` for each table. Everything goes
//! through the real control plane and the real Envoy to a back end that says what reached it.
//!
//! | file | who attacks with what |
//! |---|---|
//! | `headers` | a client that speaks for others: what it may not say about itself |
//! | `http1.txt` | requests whose end, host or path two programs read differently |
//! | `names` | the server name of a ClientHello, in bytes that no library sends |

mod headers;
mod http1;
mod names;
mod table;
