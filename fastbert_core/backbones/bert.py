"""BERT (Devlin et al. 2019), and ERNIE (Sun et al. 2019), whose layers are BERT's."""

from fastbert_core.backbones import FAMILIES, Family

FAMILIES.register("bert", Family())
FAMILIES.register("ernie", Family())
