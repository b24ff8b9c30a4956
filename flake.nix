# SPDX-License-Identifier: MPL-2.0
{
  description = "ddcp, database-to-database copy";
  inputs.nixpkgs.url = "nixpkgs";
  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" ];
      each = f: nixpkgs.lib.genAttrs systems (s: f nixpkgs.legacyPackages.${s});
      package = pkgs: pkgs.stdenv.mkDerivation {
        pname = "ddcp";
        version = "0.3.0";
        src = self;
        nativeBuildInputs = with pkgs; [ meson ninja pkg-config ];
        buildInputs = with pkgs; [ sqlite libuv openssl libsodium zstd jansson ];
        mesonFlags = [ "-Dtests=disabled" ];
      };
    in {
      packages = each (pkgs: { default = package pkgs; });
      devShells = each (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ (package pkgs) ];
          packages = with pkgs; [ cmocka valgrind shellcheck mandoc clang ];
        };
      });
    };
}
