#!/bin/busybox sh
# The first process of a guest in QEMU: everything is in the initial file system, commands come over the second serial port.
# In: a line "NUMBER SCRIPT" (base64); out: "NUMBER STATUS OUTPUT" (base64).  "ready 0" comes first.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
# Who needs whom differs from kernel to kernel: what cannot be loaded yet is tried again.
for again in 1 2 3; do
    for module in /modules/*.ko; do
        insmod "$module" 2>/dev/null && mv "$module" /
    done
done
ip link set lo up
exec </dev/ttyS1 3>/dev/ttyS1
stty raw -echo
echo "ready 0" >&3
while read -r number script; do
    echo "$script" | base64 -d > /script
    sh /script > /output 2>&1
    echo "$number $? $(base64 /output | tr -d '\n')" >&3
done
