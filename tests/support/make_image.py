#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds an image from a directory or from the static busybox of this machine and pushes it to a plain-HTTP registry.

Only the Python standard library is used, and the same input gives the same digests. Examples:

  make_image.py --registry 127.0.0.1:5000 --name web:latest --busybox --cmd 'httpd -f -p 80' --expose 80
  make_image.py --registry 127.0.0.1:5000 --name two:v1 --busybox --file /data/a=hello --layer --file /data/b=second

It prints one line of JSON: {"manifest": "sha256:…", "config": "sha256:…", "layers": [...], "diff_ids": [...]}.
As a module, other tests call build() and push().
"""
import argparse
import gzip
import hashlib
import http.client
import io
import json
import os
import shlex
import stat
import subprocess
import sys
import tarfile

CREATED = "2025-01-01T00:00:00Z"
MTIME = 1735689600
MEDIA = {
    "oci": ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar", "application/vnd.oci.image.index.v1+json"),
    "docker": ("application/vnd.docker.distribution.manifest.v2+json",
               "application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar",
               "application/vnd.docker.distribution.manifest.list.v2+json"),
}
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def add_entry(archive, path, kind=tarfile.REGTYPE, data=b"", mode=0o644, target="", uid=0, gid=0):
    info = tarfile.TarInfo(path.strip("/"))
    info.type, info.mode, info.mtime, info.size = kind, mode, MTIME, len(data)
    info.linkname, info.uid, info.gid = target, uid, gid
    archive.addfile(info, io.BytesIO(data) if data else None)


def find_busybox():
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if os.path.exists(path):
            return path
    sys.exit("make_image.py: busybox is not installed (package busybox-static)")


def add_busybox(archive):
    binary = find_busybox()
    for path, mode in (("bin", 0o755), ("dev", 0o755), ("etc", 0o755), ("home", 0o755), ("proc", 0o555), ("root", 0o700),
                       ("sbin", 0o755), ("sys", 0o555), ("tmp", 0o1777), ("usr", 0o755), ("usr/bin", 0o755),
                       ("usr/sbin", 0o755), ("var", 0o755), ("var/run", 0o755), ("run", 0o755), ("www", 0o755)):
        add_entry(archive, path, tarfile.DIRTYPE, mode=mode)
    with open(binary, "rb") as file:
        add_entry(archive, "bin/busybox", data=file.read(), mode=0o755)
    applets = subprocess.run([binary, "--list-full"], check=True, capture_output=True, text=True).stdout.split()
    names = sorted({a if a.split("/")[0] in ("bin", "sbin", "usr") else "bin/" + os.path.basename(a) for a in applets})
    for name in names:
        if name != "bin/busybox" and os.path.dirname(name) in ("bin", "sbin", "usr/bin", "usr/sbin"):
            add_entry(archive, name, tarfile.SYMTYPE, target="/bin/busybox", mode=0o777)
    add_entry(archive, "etc/passwd", data=b"root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/false\n"
              b"nobody:x:65534:65534:nobody:/:/bin/false\nalice:x:1000:1000::/home:/bin/sh\n")
    add_entry(archive, "etc/group", data=b"root:x:0:\ndaemon:x:1:\ntty:x:5:\nnogroup:x:65534:\nalice:x:1000:\n"
              b"extra:x:2000:alice\n")
    add_entry(archive, "www/index.html", data=b"hello from berth\n")


def add_directory(archive, root):
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(folders + files):
            full = os.path.join(folder, name)
            path, info = os.path.relpath(full, root), os.lstat(full)
            mode = stat.S_IMODE(info.st_mode)
            if stat.S_ISLNK(info.st_mode):
                add_entry(archive, path, tarfile.SYMTYPE, target=os.readlink(full), mode=0o777)
            elif stat.S_ISDIR(info.st_mode):
                add_entry(archive, path, tarfile.DIRTYPE, mode=mode, uid=info.st_uid, gid=info.st_gid)
            elif stat.S_ISREG(info.st_mode):
                with open(full, "rb") as file:
                    add_entry(archive, path, data=file.read(), mode=mode, uid=info.st_uid, gid=info.st_gid)


def tar_bytes(fill):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        fill(archive)
    return buffer.getvalue()


def busybox_layer():
    return tar_bytes(add_busybox)


def file_layer(files):
    """files: list of (path, bytes, mode)."""
    def fill(archive):
        made = set()
        for path, data, mode in files:
            parts = path.strip("/").split("/")
            for depth in range(1, len(parts)):
                folder = "/".join(parts[:depth])
                if folder not in made:
                    made.add(folder)
                    add_entry(archive, folder, tarfile.DIRTYPE, mode=0o755)
            add_entry(archive, path, data=data, mode=mode)
    return tar_bytes(fill)


def build(layers, config, media="oci", compress=True, architecture=ARCH):
    """layers: uncompressed tar archives, lowest first; config: the "config" object. Returns (manifest, config, blobs)."""
    manifest_type, config_type, layer_type, _ = MEDIA[media]
    blobs, descriptors, diff_ids = {}, [], []
    suffix = ("+gzip" if media == "oci" else ".gzip") if compress else ""
    for layer in layers:
        blob = gzip.compress(layer, 6, mtime=0) if compress else layer
        blobs[digest(blob)] = blob
        diff_ids.append(digest(layer))
        descriptors.append({"mediaType": layer_type + suffix, "size": len(blob), "digest": digest(blob)})
    document = {"created": CREATED, "architecture": architecture, "os": "linux", "config": config,
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
                "history": [{"created": CREATED, "created_by": "make_image.py"} for _ in layers]}
    config_blob = json.dumps(document, sort_keys=True).encode()
    blobs[digest(config_blob)] = config_blob
    manifest = {"schemaVersion": 2, "mediaType": manifest_type,
                "config": {"mediaType": config_type, "size": len(config_blob), "digest": digest(config_blob)},
                "layers": descriptors}
    return json.dumps(manifest).encode(), config_blob, blobs


def call(connection, method, path, body=None, headers=None, expect=(200, 201, 202)):
    connection.request(method, path, body=body, headers=headers or {})
    response = connection.getresponse()
    text = response.read()
    if response.status not in expect:
        raise SystemExit(f"make_image.py: {method} {path}: {response.status} {text[:300].decode(errors='replace')}")
    return response


def push_blob(connection, repository, data):
    name = digest(data)
    if call(connection, "HEAD", f"/v2/{repository}/blobs/{name}", expect=(200, 404)).status == 200:
        return
    location = call(connection, "POST", f"/v2/{repository}/blobs/uploads/").getheader("Location")
    if "://" in location:
        location = "/" + location.split("://", 1)[1].split("/", 1)[1]
    location += ("&" if "?" in location else "?") + "digest=" + name
    call(connection, "PUT", location, data, {"Content-Type": "application/octet-stream"})


def push(registry, name, manifest, blobs, media="oci"):
    """name: repository[:tag]. Returns the digest of the manifest."""
    repository, _, tag = name.rpartition(":") if ":" in name.rsplit("/", 1)[-1] else (name, "", "latest")
    connection = http.client.HTTPConnection(registry, timeout=60)
    for data in blobs.values():
        push_blob(connection, repository, data)
    call(connection, "PUT", f"/v2/{repository}/manifests/{tag}", manifest, {"Content-Type": MEDIA[media][0]})
    connection.close()
    return digest(manifest)


def image_config(args):
    config = {}
    for key, value in (("User", args.user), ("WorkingDir", args.workdir), ("StopSignal", args.stop_signal)):
        if value:
            config[key] = value
    config["Env"] = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] + args.env
    if args.entrypoint:
        config["Entrypoint"] = parse_command(args.entrypoint)
    if args.cmd:
        config["Cmd"] = parse_command(args.cmd)
    if args.expose:
        config["ExposedPorts"] = {p if "/" in p else p + "/tcp": {} for p in args.expose}
    if args.volume:
        config["Volumes"] = {v: {} for v in args.volume}
    if args.label:
        config["Labels"] = dict(l.split("=", 1) for l in args.label)
    return config


def parse_command(text):
    """A JSON array, or words as a shell would split them."""
    return json.loads(text) if text.startswith("[") else shlex.split(text)


class LayerAction(argparse.Action):
    """--layer starts the next layer; --file adds to the current one."""

    def __call__(self, parser, namespace, values, option=None):
        if namespace.files is None:
            namespace.files = [[]]
        if option == "--layer":
            namespace.files.append([])
            return
        path, _, content = values.partition("=")
        mode = 0o755 if option == "--executable" else 0o644
        if content.startswith("@"):
            with open(content[1:], "rb") as file:
                data = file.read()
        else:
            data = content.encode()
        namespace.files[-1].append((path, data, mode))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registry", required=True, help="host:port of a plain-HTTP registry")
    parser.add_argument("--name", required=True, action="append", help="repository[:tag]; may be repeated")
    parser.add_argument("--rootfs", help="directory that becomes the first layer")
    parser.add_argument("--busybox", action="store_true", help="the first layer is a small system made of busybox")
    parser.add_argument("--file", action=LayerAction, dest="files", help="PATH=CONTENT or PATH=@FILE into the current layer")
    parser.add_argument("--executable", action=LayerAction, dest="files", help="like --file, mode 0755")
    parser.add_argument("--layer", action=LayerAction, dest="files", nargs=0, help="start another layer")
    parser.add_argument("--cmd", help="JSON array or words")
    parser.add_argument("--entrypoint", help="JSON array or words")
    for name in ("user", "workdir", "stop-signal"):
        parser.add_argument("--" + name)
    for name in ("env", "expose", "volume", "label"):
        parser.add_argument("--" + name, action="append", default=[])
    parser.add_argument("--media", choices=("oci", "docker"), default="oci")
    parser.add_argument("--uncompressed", action="store_true")
    parser.add_argument("--architecture", default=ARCH)
    return parser.parse_args()


def main():
    args = parse_arguments()
    layers = []
    if args.busybox:
        layers.append(busybox_layer())
    if args.rootfs:
        layers.append(tar_bytes(lambda archive: add_directory(archive, args.rootfs)))
    layers += [file_layer(files) for files in args.files or [] if files]
    if not layers:
        sys.exit("make_image.py: give --busybox, --rootfs or --file")
    manifest, config, blobs = build(layers, image_config(args), args.media, not args.uncompressed, args.architecture)
    for name in args.name:
        push(args.registry, name, manifest, blobs, args.media)
    document = json.loads(manifest)
    print(json.dumps({"manifest": digest(manifest), "config": digest(config),
                      "layers": [layer["digest"] for layer in document["layers"]],
                      "diff_ids": json.loads(config)["rootfs"]["diff_ids"]}))


if __name__ == "__main__":
    main()
