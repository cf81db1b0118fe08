//! A network and mounts of a test's own: the test runs itself once more, in namespaces that end with it.
//!
//! The API server takes no EndpointSlice with a loopback address, and no test may listen on the addresses that the
//! machine happens to have. In here the loopback device has [`ADDRESSES`] beside 127.0.0.0/8, and what is mounted
//! is mounted for nobody else.
//!
//! Namespaces are made by `unshare` (util-linux), by an ordinary user inside a user namespace. Where the kernel
//! refuses that, the test fails on CI and is skipped with a loud line elsewhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

/// The loopback device has this whole /24; the last byte is the test's to choose.
pub(crate) const ADDRESSES: [u8; 3] = [10, 97, 0];

/// Set for a test that runs in namespaces; its value is the mount namespace that it came from.
const INSIDE: &str = "ISOBATH_TEST_OUTSIDE";

/// Address number `last` of the test's own.
pub(crate) const fn address(last: u8) -> Ipv4Addr {
    let [a, b, c] = ADDRESSES;
    Ipv4Addr::new(a, b, c, last)
}

/// Runs the body of a `#[test]` in namespaces of its own, on a runtime of its own.
///
/// The test's name is that of the function whose closure `body` is.
pub(crate) fn alone<T: AsyncFnOnce()>(body: T) {
    alone_as(address(1).into(), 24, body);
}

/// The one address of a test that is [`alone_by_ipv6`], beside loopback's.
pub(crate) const IPV6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);

/// The same where the machine has no address of IPv4 but loopback's, as a pod of a cluster of IPv6.
pub(crate) fn alone_by_ipv6<T: AsyncFnOnce()>(body: T) {
    alone_as(IPV6.into(), 64, body);
}

fn alone_as<T: AsyncFnOnce()>(address: IpAddr, prefix: u8, body: T) {
    if let Some(outside) = std::env::var_os(INSIDE) {
        assert_ne!(mount_namespace(), outside, "these are not the test's own");
        bring_up(address, prefix);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(body());
    }
    let mut probe = unshare();
    let probe = probe.arg("true").output().unwrap();
    if !probe.status.success() {
        let reason = String::from_utf8_lossy(&probe.stderr).into_owned();
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "no namespaces on CI: {reason}"
        );
        return eprintln!("SKIPPED, no namespaces: {reason}");
    }
    // `binary::module::function::{{closure}}`; libtest leaves out the first.
    let path = std::any::type_name::<T>();
    let name = path
        .split_once("::")
        .unwrap()
        .1
        .trim_end_matches("::{{closure}}");
    let output = unshare()
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--include-ignored"])
        .args(["--nocapture", "--test-threads=1"])
        .env(INSIDE, mount_namespace())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}", output.status);
    assert!(said.contains("test result: ok. 1 passed"), "{name} ran");
}

/// Mounts an empty folder over one that exists, for this test only.
pub(crate) fn mount_empty(folder: &str) {
    assert!(std::env::var_os(INSIDE).is_some(), "not outside");
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "tmpfs", folder])
        .output()
        .unwrap();
    assert!(mount.status.success(), "{mount:?}");
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount"]);
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
}

fn mount_namespace() -> std::ffi::OsString {
    std::fs::read_link("/proc/thread-self/ns/mnt")
        .unwrap()
        .into_os_string()
}

/// Turns the loopback device on, which brings 127.0.0.1 and ::1, and gives it an address (rtnetlink(7)).
fn bring_up(address: IpAddr, prefix: u8) {
    const LOOPBACK: u32 = 1;
    // ifinfomsg: family, padding, type; index, flags, mask of the flags to change.
    let (up, mask) = (
        nix::libc::IFF_UP.cast_unsigned(),
        nix::libc::IFF_UP.cast_unsigned(),
    );
    let link = [
        [0; 4],
        LOOPBACK.to_ne_bytes(),
        up.to_ne_bytes(),
        mask.to_ne_bytes(),
    ]
    .concat();
    netlink(nix::libc::RTM_NEWLINK, 0, &link);
    // ifaddrmsg: family, length of the prefix, flags, scope; index. Then one attribute: length, type, address.
    let (family, octets) = match address {
        IpAddr::V4(ip) => (nix::libc::AF_INET, ip.octets().to_vec()),
        IpAddr::V6(ip) => (nix::libc::AF_INET6, ip.octets().to_vec()),
    };
    // Else an address of IPv6 can't be used until the kernel has looked for its double.
    let flags = u8::try_from(nix::libc::IFA_F_NODAD).unwrap();
    let mut head = vec![u8::try_from(family).unwrap(), prefix, flags, 0];
    head.extend(LOOPBACK.to_ne_bytes());
    head.extend(u16::try_from(4 + octets.len()).unwrap().to_ne_bytes());
    head.extend(nix::libc::IFA_LOCAL.to_ne_bytes());
    head.extend(octets);
    let create = nix::libc::NLM_F_CREATE | nix::libc::NLM_F_EXCL;
    netlink(nix::libc::RTM_NEWADDR, create, &head);
}

/// One request to the kernel, and its acknowledgement.
fn netlink(kind: u16, flags: i32, body: &[u8]) {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )
    .unwrap();
    let flags = nix::libc::NLM_F_REQUEST | nix::libc::NLM_F_ACK | flags;
    let length = u32::try_from(16 + body.len()).unwrap();
    // nlmsghdr: length, type, flags, sequence, port.
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(u16::try_from(flags).unwrap().to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    let fd = std::os::fd::AsRawFd::as_raw_fd(&socket);
    sendto(fd, &message, &NetlinkAddr::new(0, 0), MsgFlags::empty()).unwrap();
    let mut answer = [0; 256];
    let size = recv(fd, &mut answer, MsgFlags::empty()).unwrap();
    // nlmsghdr again, and an error number, which is zero where there is none.
    assert!(size >= 20, "{size} bytes");
    let error = i32::from_ne_bytes(answer[16..20].try_into().unwrap());
    assert_eq!(error, 0, "{}", std::io::Error::from_raw_os_error(-error));
}
