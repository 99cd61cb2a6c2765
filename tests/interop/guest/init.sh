#!/bin/sh
# The first process of a User Mode Linux guest: the host's files, read-only, and nothing of the host's that moves.
# In: SCRATCH (a host directory the guest may write to), PYTHON, AGENT, MODULES (names), as kernel parameters.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /run/tmp /run/shared "/run/root/lib/modules"
export TMPDIR=/run/tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run/tmp

# The kernel's own requests for modules go the same way; nothing has to be there under the host's /lib/modules.
ln -s "/usr/lib/uml/modules/$(uname -r)" "/run/root/lib/modules/$(uname -r)"
printf '#!/bin/sh\nexec /sbin/modprobe -d /run/root "$@"\n' > /run/modprobe
chmod 755 /run/modprobe
echo /run/modprobe > /proc/sys/kernel/modprobe
/run/modprobe -a $(echo "$MODULES" | tr , ' ') || echo "init: modprobe failed"

mount -t hostfs none /run/shared -o "$SCRATCH"
ip link set lo up
exec "$PYTHON" -I -S "$AGENT" /dev/tty1
