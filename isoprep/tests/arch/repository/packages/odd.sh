# shellcheck shell=bash
# Packages that are hard to install, or cannot be.

# Other owners, setuid, sticky and setgid bits, hard links, links, names with spaces and without ASCII, and a capability
# that lies in the archive.
package_owned_files() {
    description="Files of other owners and with special bits"
    local owned=$root/opt/owned
    mkdir -p "$owned/shared" "$owned/spool" "$owned/with space"
    printf 'of user 1000\n' >"$owned/user"
    printf 'of group 984\n' >"$owned/group"
    printf 'one content, two names\n' >"$owned/hard-1"
    ln -- "$owned/hard-1" "$owned/hard-2"
    ln -s -- ../../etc/os-release "$owned/link"
    ln -s -- nowhere "$owned/dangling"
    printf 'x\n' >"$owned/with space/a file"
    printf 'x\n' >"$owned/grün"
    printf '#!/usr/bin/bash\nid -u\n' >"$owned/setuid"
    printf '#!/usr/bin/bash\nid -g\n' >"$owned/setgid"
    printf '#!/usr/bin/bash\ntrue\n' >"$owned/capable"
    chmod 640 "$owned/user" "$owned/group"
    chmod 4755 "$owned/setuid"
    chmod 2755 "$owned/setgid"
    chmod 755 "$owned/capable"
    chmod 2775 "$owned/shared"
    chmod 1777 "$owned/spool"
    owners=("opt/owned/user 1000 1000" "opt/owned/group 0 984" "opt/owned/shared 0 984" "opt/owned/setgid 0 5")
    # struct vfs_cap_data, revision 2: the effective bit, and bit 13 (cap_net_raw) permitted (linux/capability.h).
    capabilities=("opt/owned/capable AQAAAgAgAAAAAAAAAAAAAAAAAAA=")
}

# A capability that its scriptlet sets, as several of Arch's packages do.
package_capable() {
    description="A file that gets its capability on installation"
    depends=(libcap bash)
    mkdir -p "$root/opt/capable"
    printf '#!/usr/bin/bash\ntrue\n' >"$root/opt/capable/ping"
    chmod 755 "$root/opt/capable/ping"
    scriptlet='post_install() { setcap cap_net_raw=ep opt/capable/ping; }
post_upgrade() { post_install; }'
}

# hook NAME WHEN SCRIPT [LINE]: an alpm hook that runs when this very package is installed.
hook() {
    mkdir -p "$root/usr/share/libalpm/"{hooks,scripts}
    printf '%s\n' '[Trigger]' 'Type = Package' 'Operation = Install' "Target = $package" '' '[Action]' \
        "Description = Hook of $package..." "When = $2" "Exec = /usr/share/libalpm/scripts/$1" ${4:+"$4"} \
        >"$root/usr/share/libalpm/hooks/50-$1.hook"
    printf '#!/usr/bin/bash\n%s\n' "$3" >"$root/usr/share/libalpm/scripts/$1"
    chmod 755 "$root/usr/share/libalpm/scripts/$1"
}

package_failing_hook() {
    description="Its hook fails after the transaction"
    depends=(bash)
    hook failing-hook PostTransaction 'echo "failing-hook: this machine has no such device" >&2
exit 3'
}

package_slow_hook() {
    description="Its hook takes ten minutes"
    depends=(bash busybox)
    hook slow-hook PostTransaction 'echo "slow-hook: waiting"
sleep 600'
}

package_failing_scriptlet() {
    description="Its scriptlet fails"
    depends=(bash)
    readme
    scriptlet='post_install() {
    echo "failing-scriptlet: cannot make the user" >&2
    return 4
}'
}

package_conflict_one() { description="Will not live with conflict-two"; conflicts=(conflict-two); readme; }
package_conflict_two() { description="Will not live with conflict-one"; conflicts=(conflict-one); readme; }

# Two packages that do not say that they have a file in common.
package_clash_one() { description="Has the same file as clash-two"; mkdir -p "$root/opt/clash"; echo one >"$root/opt/clash/file"; }
package_clash_two() { description="Has the same file as clash-one"; mkdir -p "$root/opt/clash"; echo two >"$root/opt/clash/file"; }

package_missing_dependency() {
    description="Depends on a package that no repository has"
    depends=(no-such-library)
    readme
}
