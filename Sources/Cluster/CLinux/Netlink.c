// What is asked of the kernel's network over netlink.
#define _GNU_SOURCE
#include "CLinux.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

/// A socket of a netlink family that does not wait longer than two seconds for an answer.
static int open_netlink(int family) {
    int handle = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family);
    if (handle < 0) return -errno;
    struct timeval patience = {2, 0};
    setsockopt(handle, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return handle;
}

int clinux_rule_generation(uint32_t *generation) {
    int handle = open_netlink(NETLINK_NETFILTER);
    if (handle < 0) return handle;
    struct {
        struct nlmsghdr head;
        struct nfgenmsg family;
    } ask = {.head = {.nlmsg_len = sizeof ask,
                 .nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN,
                 .nlmsg_flags = NLM_F_REQUEST,
                 .nlmsg_seq = 1},
        .family = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0}};
    char answer[1024];
    ssize_t got = send(handle, &ask, sizeof ask, 0);
    if (got >= 0) got = recv(handle, answer, sizeof answer, 0);
    int result = got < 0 ? -errno : -EPROTO;
    close(handle);
    struct nlmsghdr head;
    if (got < (ssize_t)(sizeof head + sizeof(struct nfgenmsg))) return result;
    memcpy(&head, answer, sizeof head);
    if (head.nlmsg_type == NLMSG_ERROR) {
        memcpy(&result, answer + sizeof head, sizeof result);
        return result < 0 ? result : -EPROTO;
    }
    for (ssize_t at = NLMSG_ALIGN(sizeof head + sizeof(struct nfgenmsg)); at + (ssize_t)sizeof(struct nlattr) <= got;) {
        struct nlattr attribute;
        memcpy(&attribute, answer + at, sizeof attribute);
        if (attribute.nla_len < sizeof attribute || at + attribute.nla_len > got) break;
        if (attribute.nla_type == NFTA_GEN_ID && attribute.nla_len >= sizeof attribute + sizeof *generation) {
            memcpy(generation, answer + at + sizeof attribute, sizeof *generation);
            *generation = ntohl(*generation);
            return 0;
        }
        at += NLA_ALIGN(attribute.nla_len);
    }
    return result;
}

/// A request with its attributes (rtnetlink(7)); none that is made here is longer.
struct request {
    union {
        struct nlmsghdr head;
        char bytes[512];
    };
};

static void begin(struct request *request, int type, int flags, const void *body, size_t length) {
    memset(request, 0, sizeof *request);
    request->head = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(length), .nlmsg_type = (uint16_t)type,
        .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags), .nlmsg_seq = 1};
    memcpy(NLMSG_DATA(&request->head), body, length);
}

/// Adds an attribute; what follows until `end` is inside it.
static struct nlattr *add(struct request *request, int type, const void *value, size_t length) {
    size_t at = NLMSG_ALIGN(request->head.nlmsg_len);
    if (at + NLA_HDRLEN + NLA_ALIGN(length) > sizeof request->bytes) abort();
    struct nlattr *attribute = (struct nlattr *)(request->bytes + at);
    attribute->nla_type = (uint16_t)type;
    attribute->nla_len = (uint16_t)(NLA_HDRLEN + length);
    if (length > 0) memcpy((char *)attribute + NLA_HDRLEN, value, length);
    request->head.nlmsg_len = (uint32_t)(at + NLA_ALIGN(attribute->nla_len));
    return attribute;
}

static void end(struct request *request, struct nlattr *attribute) {
    attribute->nla_len = (uint16_t)(request->bytes + request->head.nlmsg_len - (char *)attribute);
}

static int talk(int handle, struct request *request) {
    char answer[1024];
    if (send(handle, request, request->head.nlmsg_len, 0) < 0) return -errno;
    ssize_t got = recv(handle, answer, sizeof answer, 0);
    if (got < 0) return -errno;
    struct nlmsghdr head;
    int code;
    if (got < (ssize_t)(sizeof head + sizeof code)) return -EPROTO;
    memcpy(&head, answer, sizeof head);
    memcpy(&code, answer + sizeof head, sizeof code);
    return head.nlmsg_type == NLMSG_ERROR ? code : -EPROTO;
}

static int raise_link(int handle, const char *name) {
    struct request request;
    struct ifinfomsg link = {.ifi_index = (int)if_nametoindex(name), .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    if (link.ifi_index == 0) return -ENODEV;
    begin(&request, RTM_NEWLINK, 0, &link, sizeof link);
    return talk(handle, &request);
}

/// Addresses are in network order; 0 leaves an attribute out.
static int add_route(int handle, const char *device, int scope, uint32_t target, uint32_t gateway, uint32_t source, int flags) {
    struct request request;
    struct rtmsg route = {.rtm_family = AF_INET, .rtm_dst_len = target ? 32 : 0, .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_BOOT, .rtm_scope = (unsigned char)scope, .rtm_type = RTN_UNICAST};
    uint32_t index = if_nametoindex(device);
    begin(&request, RTM_NEWROUTE, NLM_F_CREATE | flags, &route, sizeof route);
    if (target) add(&request, RTA_DST, &target, sizeof target);
    if (gateway) add(&request, RTA_GATEWAY, &gateway, sizeof gateway);
    if (source) add(&request, RTA_PREFSRC, &source, sizeof source);
    add(&request, RTA_OIF, &index, sizeof index);
    return talk(handle, &request);
}

static int make_pair(int handle, const char *device, int namespace, uint32_t mtu) {
    struct request request;
    struct ifinfomsg link = {.ifi_family = AF_UNSPEC};
    begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
    add(&request, IFLA_IFNAME, device, strlen(device) + 1);
    add(&request, IFLA_MTU, &mtu, sizeof mtu);
    struct nlattr *information = add(&request, IFLA_LINKINFO, NULL, 0);
    add(&request, IFLA_INFO_KIND, "veth", 4);
    struct nlattr *data = add(&request, IFLA_INFO_DATA, NULL, 0);
    struct nlattr *peer = add(&request, VETH_INFO_PEER, &link, sizeof link);
    add(&request, IFLA_IFNAME, "eth0", 5);
    add(&request, IFLA_MTU, &mtu, sizeof mtu);
    add(&request, IFLA_NET_NS_FD, &namespace, sizeof namespace);
    end(&request, peer);
    end(&request, data);
    end(&request, information);
    return talk(handle, &request);
}

/// The inside of a pod's network; the caller's thread is in it.
static int furnish(uint32_t address, uint32_t gateway) {
    int handle = open_netlink(NETLINK_ROUTE);
    if (handle < 0) return handle;
    struct request request;
    struct ifaddrmsg own = {.ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_scope = RT_SCOPE_UNIVERSE,
        .ifa_index = if_nametoindex("eth0")};
    begin(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &own, sizeof own);
    add(&request, IFA_LOCAL, &address, sizeof address);
    add(&request, IFA_ADDRESS, &address, sizeof address);
    int result = raise_link(handle, "lo");
    if (result == 0) result = raise_link(handle, "eth0");
    if (result == 0) result = talk(handle, &request);
    if (result == 0) result = add_route(handle, "eth0", RT_SCOPE_LINK, gateway, 0, 0, NLM_F_REPLACE);
    if (result == 0) result = add_route(handle, "eth0", RT_SCOPE_UNIVERSE, 0, gateway, 0, NLM_F_REPLACE);
    close(handle);
    return result;
}

int clinux_link_pod(const char *namespace_path, const char *device, uint32_t address, uint32_t gateway, uint32_t mtu) {
    address = htonl(address);
    gateway = htonl(gateway);
    int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    int other = open(namespace_path, O_RDONLY | O_CLOEXEC);
    int handle = open_netlink(NETLINK_ROUTE);
    int result = own < 0 || other < 0 ? -errno : handle < 0 ? handle : make_pair(handle, device, other, mtu);
    // A network namespace belongs to a thread, and this thread does nothing else meanwhile.
    if (result == 0 && (result = setns(other, CLONE_NEWNET) < 0 ? -errno : 0) == 0) {
        result = furnish(address, gateway);
        if (setns(own, CLONE_NEWNET) < 0) abort();
    }
    if (result == 0) result = raise_link(handle, device);
    if (result == 0) result = add_route(handle, device, RT_SCOPE_LINK, address, 0, gateway, NLM_F_REPLACE);
    if (own >= 0) close(own);
    if (other >= 0) close(other);
    if (handle >= 0) close(handle);
    return result;
}

int clinux_unlink_pod(const char *device) {
    struct request request;
    struct ifinfomsg link = {.ifi_index = (int)if_nametoindex(device)};
    if (link.ifi_index == 0) return 0;
    int handle = open_netlink(NETLINK_ROUTE);
    if (handle < 0) return handle;
    begin(&request, RTM_DELLINK, 0, &link, sizeof link);
    int result = talk(handle, &request);
    close(handle);
    return result == -ENODEV ? 0 : result;
}
