#!/usr/bin/env bash
# Runs a program on a processor that this machine is not: Linux on Bochs, which has AVX-512. It
# takes a thousand times as long, so give it a few tests, not all:
#   scripts/emulate.sh [--cpu MODEL] [--install] PROGRAM [ARGUMENT...]
#   scripts/emulate.sh build/release/tests/ops/test_ops --gtest_filter='*Winograd*'
# Exits with the program's code. MODEL is one of `bochs --help cpu`; by default the newest known
# here: sapphire_rapids (Bochs 3; its AMX is hidden, for Linux refuses the state that Bochs 3.0
# offers) or corei7_skylake_x. oneDNN runs without AVX512_BF16: Bochs 3.0 writes half of what
# VCVTNE2PS2BF16 returns. The program sees its libraries and tests/golden, one processor and
# no network. --install gets the packages first (Debian; kernel and boot loader are not installed).
set -euo pipefail
cd "$(dirname "$0")/.."

cpu=
while (($#)); do
  case $1 in
    --cpu) cpu=${2:?--cpu needs a MODEL}; shift 2 ;;
    --install)
      scripts/install_packages.sh bochs bochs-term bochsbios vgabios grub-pc-bin xorriso mtools \
        busybox-static cpio
      shift ;;
    -*) echo "emulate.sh: unknown option $1 (there are --cpu and --install)" >&2; exit 2 ;;
    *) break ;;
  esac
done
if (($# == 0)); then sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2; fi
for tool in bochs grub-mkrescue xorriso cpio; do
  command -v $tool >/dev/null ||
    { echo "emulate.sh: needs $tool; give --install once" >&2; exit 1; }
done
program=$1
shift
[[ -x $program ]] || { echo "emulate.sh: $program is no program" >&2; exit 2; }
if [[ -z $cpu ]]; then
  cpu=corei7_skylake_x
  if grep -q sapphire_rapids <(bochs --help cpu 2>&1); then cpu=sapphire_rapids; fi
fi

cache=build/emulate
mkdir -p $cache
if [[ ! -f $cache/vmlinuz ]]; then
  kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
  (cd $cache && apt-get download -qq "$kernel" && dpkg-deb -x "$kernel"_*.deb kernel)
  cp $cache/kernel/boot/vmlinuz-* $cache/vmlinuz
  rm -rf $cache/kernel $cache/*.deb
fi

work=$(mktemp -d)
bochs_pid=
trap '[[ -z $bochs_pid ]] || kill "$bochs_pid" 2>/dev/null || true; rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,lib,lib64,proc,sys,dev,tmp} "$work/iso/boot/grub"
cp /bin/busybox "$root/bin/"
strip -o "$root/bin/program" "$program"
ldd "$program" | awk '/=> \//{print $3}' | xargs -r cp -Lt "$root/lib"
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
mkdir -p "$root$PWD/tests"
cp -r tests/golden "$root$PWD/tests/"
cat >"$root/init" <<END
#!/bin/busybox sh
/bin/busybox mount -t proc x /proc
/bin/busybox mount -t sysfs x /sys
/bin/busybox mount -t devtmpfs x /dev
/bin/busybox mount -t tmpfs x /tmp
export LD_LIBRARY_PATH=/lib HOME=/tmp OMP_NUM_THREADS=1 DNNL_MAX_CPU_ISA=AVX512_CORE ${EXCITON_ISA:+EXCITON_ISA=$EXCITON_ISA}
echo
sets=\$(/bin/busybox tr ' ' '\n' </proc/cpuinfo | /bin/busybox grep -E '^(avx2|fma|avx512.*)\$' | /bin/busybox sort -u)
echo Instruction sets: \$sets
cd $PWD
/bin/program ${*@Q}
echo EXIT \$?
/bin/busybox sleep 1000000
END
chmod +x "$root/init"
cp $cache/vmlinuz "$work/iso/boot/"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/iso/boot/initrd.gz"
cat >"$work/iso/boot/grub/grub.cfg" <<'END'
set timeout=0
menuentry exciton {
  linux /boot/vmlinuz console=ttyS0 quiet mitigations=off nosmp noapic acpi=off tsc=reliable clearcpuid=amx_tile,amx_bf16,amx_int8
  initrd /boot/initrd.gz
}
END
grub-mkrescue -o "$work/disc.iso" "$work/iso" >/dev/null 2>&1

cat >"$work/bochsrc" <<END
cpu: model=$cpu, count=1, ips=200000000
memory: guest=2048, host=2048
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$work/disc.iso, status=inserted
boot: cdrom
display_library: rfb, options="timeout=0"
com1: enabled=1, mode=file, dev=$work/serial
log: $work/log
panic: action=fatal
END
echo "Booting Linux on Bochs' $cpu (a minute or two)" >&2
: >"$work/serial"
bochs -q -f "$work/bochsrc" >"$work/out" 2>&1 <<<c &
bochs_pid=$!
shown=0
while :; do
  sleep 1
  size=$(stat -c %s "$work/serial")
  if ((size > shown)); then
    tail -c +$((shown + 1)) "$work/serial" | head -c $((size - shown)) | tr -d '\r'
    shown=$size
  fi
  code=$(sed -n 's/^EXIT \([0-9]*\)\r*$/\1/p' "$work/serial")
  if [[ -n $code ]]; then exit "$code"; fi
  if ! kill -0 "$bochs_pid" 2>/dev/null; then
    echo "emulate.sh: Bochs ended; the end of its log:" >&2
    tail -5 "$work/log" >&2
    exit 1
  fi
done
