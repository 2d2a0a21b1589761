#!/bin/sh
# root.sh PACKAGE ROOT: the smallest root file system in which pqlstream runs. PACKAGE: the Debian package unpacked
# (dpkg-deb -x); ROOT is made. What is of the system comes from this machine, which has the packages it depends on:
# libraries, authorities to trust, time zones. No shell, no package manager, nothing that can be written.
set -eu
package=$1 root=$2
mkdir -p "$root/usr/lib" "$root/usr/lib64" "$root/etc/ssl/certs" "$root/etc/pqlstream" "$root/var/lib/dpkg/status.d" \
    "$root/proc" "$root/dev" "$root/tmp"
ln -s usr/lib usr/lib64 "$root"
cp -a "$package/usr/bin" "$root/usr"
cp -a "$package/usr/lib/pqlstream" "$root/usr/lib"
mkdir -p "$root/usr/share/doc/pqlstream"
cp -a "$package/usr/share/pqlstream" "$root/usr/share"
cp -a "$package/usr/share/doc/pqlstream/LICENSE" "$package/usr/share/doc/pqlstream/pqlstream.conf" "$root/usr/share/doc/pqlstream"

# Each library under the name that the program asks for; scanners read from status.d which package it is of.
ldd "$root/usr/bin/pqlstream" | sed -n 's/.*=> \(\/[^ ]*\) (.*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | sort -u |
    while read -r library; do
        case $library in "$root"/*) continue ;; esac
        cp -L --parents "$library" "$root"
        owner=$( (dpkg-query -S "$library" || dpkg-query -S "/usr$library" || dpkg-query -S "${library#/usr}") 2>/dev/null |
            sed -n '1s/[:,].*//p')
        dpkg-query -s "$owner" >"$root/var/lib/dpkg/status.d/$owner"
    done

cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs"
cp -a /usr/share/zoneinfo "$root/usr/share"
rm -rf "$root/usr/share/zoneinfo/right" "$root/usr/share/zoneinfo/posix"
chmod 1777 "$root/tmp"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
echo 'pqlstream:x:10001:10001::/:/' >"$root/etc/passwd"
echo 'pqlstream:x:10001:' >"$root/etc/group"
