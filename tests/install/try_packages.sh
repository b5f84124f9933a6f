# Runs in a bare Debian 12 with the packages in /try: ./dev package --test. Ends with 1 where something is not as it should be.
# usage: try_packages.sh install | serve | unit | remove
cd /try || exit

say() { echo "$*"; }
die() {
  echo "try_packages: $*" >&2
  exit 1
}
try() {
  echo "+ $*"
  "$@"
}
install_quietly() { DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends --quiet=2 "$@" >apt.log 2>&1 || { cat apt.log; exit 1; }; }

install_packages() {
  apt-get update --quiet=2
  for package in varserve-server varserve; do
    echo "+ apt-get install ./$(basename "$package"_*.deb)"
    install_quietly ./"$package"_*.deb
  done
  echo "installed: $(dpkg-query --show --showformat='${binary:Package} ' | wc --words) packages"
  # shellcheck disable=SC2016
  try dpkg-query --show --showformat='${Package} ${Version}: depends on ${Depends}\n' varserve-server varserve
  try varserve-server --version
  echo "+ varserve-server --help | wc --lines"
  varserve-server --help | wc --lines
  try varserve-calibrate --version
  try varserve --version
  try stat --format='%A %U %G %n' /var/lib/varserve /etc/varserve/server.flags
  for page in man8/varserve-server.8 man1/varserve-calibrate.1 man1/varserve.1; do
    [[ -f /usr/share/man/$page ]] || die "the manual page $page is missing"
  done
  [[ -f /usr/share/doc/varserve-server/licenses/torch/LICENSE ]] || die "LibTorch's license is missing"
  # For the program that is built against the library; then a program there finds what the package depends on.
  echo "+ apt-get install ./$(basename libvarserve-dev_*.deb) g++ make cmake pkg-config"
  install_quietly ./libvarserve-dev_*.deb g++ make cmake pkg-config
  install_quietly systemd
}

serve() {
  echo "+ without a model: varserve-server --flagfile=/etc/varserve/server.flags"
  ! "${AS_VARSERVE[@]}" 2>&1 || die "the server started without a model"
  cp --recursive model /var/lib/varserve/model
  chgrp --recursive varserve /var/lib/varserve/model
  "${AS_VARSERVE[@]}" >server.log 2>&1 &
  local server=$!
  try varserve health --retry 60 --timeout 300 || { cat server.log; exit 1; }
  try varserve ask models/embedded/demo/castle.jpg "What color is the bucket?"
  # shellcheck source=/dev/null
  source install.sh
  try ask_with_installed_library /usr /try/built localhost:50051 /try
  echo "+ kill -TERM"
  kill "$server"
  wait "$server" || { cat server.log; die "the server ended with $?"; }
  grep ' stopped' server.log || die "the server did not stop as it should"
}

# As the unit starts it; setpriv becomes the server.
AS_VARSERVE=(setpriv --reuid varserve --regid varserve --init-groups --no-new-privs --bounding-set=-all
  varserve-server --flagfile=/etc/varserve/server.flags)

check_unit() {
  local unit=/usr/lib/systemd/system/varserve-server.service
  try systemd-analyze --man=no verify "$unit"
  echo "+ systemd-analyze security varserve-server: what is not restricted"
  # At most 2.0 of 10; systemd calls less than 4 OK.
  systemd-analyze security --offline=true --threshold=20 --no-pager "$unit" >security.log || { cat security.log; die "the exposure is more than 2.0"; }
  grep --regexp '✗' --regexp Overall security.log
}

remove() {
  echo "+ apt-get purge varserve-server varserve libvarserve-dev"
  apt-get purge --yes --quiet=2 varserve-server varserve libvarserve-dev >apt.log 2>&1 || { cat apt.log; exit 1; }
  local left
  left=$(find /etc /usr /lib -name '*varserve*')
  [[ -z $left ]] || die "these were left behind: $left"
  [[ -d /var/lib/varserve/model ]] || die "the model was removed, too"
  echo "nothing was left behind but the model"
}

case $1 in
  install) install_packages ;;
  serve) serve ;;
  unit) check_unit ;;
  remove) remove ;;
esac
